"""The ledger proves itself, over HTTP."""

import pytest
import sqlalchemy as sa

from models import Account, Reward, Voucher, db


def break_row(statement) -> None:
    """Change a row past every rule of ours."""
    db.session.rollback()
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(statement)


@pytest.mark.covers("C7", "E3")
def test_a_busy_shop_adds_up(busy_shop):
    busy_shop["clerk"].post(f"/clerk/vouchers/{busy_shop['redemptions'][0]['voucher']['code']}/use")
    busy_shop["shopper"].post(f"/me/redemptions/{busy_shop['redemptions'][1]['id']}/cancellation")

    answer = busy_shop["admin"].get("/admin/ledger/verification")

    assert answer.status_code == 200
    assert answer.json == {
        "checked": {
            "accounts": 4,
            "entries": 13,
            "lots": 9,
            "rewards": 4,
            "redemptions": 3,
            "vouchers": 3,
            "checkins": 0,
        },
        "trial_balance": {
            "issuance": -9,
            "redemption": 20,
            "expiry": 0,
            "adjustment": -1200,
            "transfer": 0,
            "hold": 0,
            "refund": 0,
            "payment": 0,
            "members": 1189,
        },
        "mismatches": [],
        "mismatches_total": 0,
    }


@pytest.mark.covers("C7")
def test_each_row_that_does_not_add_up_is_named(busy_shop):
    shopper, reward = busy_shop["shopper"], busy_shop["rewards"][0]
    balance = Account.balance_points
    break_row(
        sa.update(Account).where(Account.member_id == shopper.id).values({balance: balance + 1})
    )
    break_row(
        sa.update(Reward)
        .where(Reward.id == reward.id)
        .values(units_left=Reward.units_left + 1, units_stocked=Reward.units_stocked + 1)
    )
    break_row(sa.update(Voucher).where(Voucher.id == 1).values(state="void"))

    found = busy_shop["admin"].get("/admin/ledger/verification").json["mismatches"]

    assert {(each["check"], each["subject"], each["id"]) for each in found} == {
        ("balance_is_sum_of_entries", "account", shopper.id),
        ("balance_is_sum_of_lots", "account", shopper.id),
        ("stock_is_moves", "reward", reward.id),
        ("vouchers_agree_with_redemptions", "voucher", 1),
    }
    assert all(each["expected"] != each["actual"] for each in found)
