"""Defects of well-known malls at the till and in the books, named by their number in our list."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, expiry_policies, points
from models import Account, LedgerEntry, TierChange
from tests.makers import grant, points_last_months
from tests.mall.books import balance, by_hand, give, lots, one, rows, spend, wrong
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def fetched(as_shopper, a_reward, redeem):
    """A voucher that waits at store A; answers its code."""
    shopper = as_shopper("one")
    grant(shopper.id, 300)

    def make(store_id=None):
        where = {"store_id": store_id} if store_id else {}
        return redeem(shopper, a_reward(price_points=1), **where)["voucher"]["code"]

    return make


def test_defect_12_another_stores_clerk_can_not_hand_it_over(fetched, stores, as_staff):
    code = fetched(stores["A"])

    other = as_staff("clerk-b").post(f"/clerk/vouchers/{code}/use")
    own = as_staff("clerk-a").post(f"/clerk/vouchers/{code}/use")

    assert (other.status_code, own.status_code) == (404, 200)


def test_defect_13_what_is_earned_never_lowers_a_tier(a_member, stores, as_staff):
    member, clerk = a_member(), as_staff("clerk-a")
    by_hand(sa.update(Account).where(Account.member_id == member).values(tier_code="diamond"))

    clerk.post("/clerk/purchases", {"member_id": member, "receipt_no": "R1", "amount_fen": 200_000})

    assert one(Account.tier_code, Account.member_id == member) == "diamond"


def test_defect_16_growth_earned_at_once_is_lost_by_nobody(a_member, as_staff, at_once):
    member, clerk = a_member(), as_staff("clerk-a")

    answers = at_once(
        [
            lambda n=n: clerk.post(
                "/clerk/purchases",
                {"member_id": member, "receipt_no": f"R{n}", "amount_fen": 10_000},
            )
            for n in range(12)
        ]
    )

    assert {a.status_code for a in answers} == {201}
    assert one(Account.growth_value, Account.member_id == member) == 1200 and wrong() == []


def test_defect_25_one_voucher_is_handed_over_once(fetched, as_staff, at_once):
    code, clerk = fetched(), as_staff("clerk-a")

    answers = at_once([lambda: clerk.post(f"/clerk/vouchers/{code}/use") for _ in range(12)])

    assert sorted(a.status_code for a in answers) == [200] + [409] * 11


def test_defect_25_a_voucher_ends_when_it_says(app, fetched, as_staff):
    code = fetched()
    app.config["CLOCK_OFFSET_S"] = 31 * 86_400

    answer = as_staff("clerk-a").post(f"/clerk/vouchers/{code}/use")

    assert (answer.status_code, answer.json["code"]) == (409, "voucher_expired")


def test_defect_26_no_parallel_spend_takes_a_balance_below_nothing(app, a_member):
    member = a_member(points=50)

    answers = together(app, [lambda n=n: spend(member, 10, f"s{n}") for n in range(16)])

    assert sum(isinstance(each, int) for each in answers) == 5
    assert balance(member) == 0 and wrong() == []


def test_defect_27_a_jump_over_tiers_lands_on_the_highest_and_points_round_down(a_member, as_staff):
    member = a_member()

    answer = as_staff("clerk-a").post(
        "/clerk/purchases", {"member_id": member, "receipt_no": "R1", "amount_fen": 600_199}
    )

    assert answer.json["points_awarded"] == 6001
    moved = rows(TierChange.tier_before, TierChange.tier_after)
    assert moved == [("base", "gold")]


def test_defect_30_spending_points_lowers_no_tier(a_member, as_staff):
    member = a_member()
    as_staff("clerk-a").post(
        "/clerk/purchases", {"member_id": member, "receipt_no": "R1", "amount_fen": 100_000}
    )

    spend(member, 1000, "all of it")

    account = (Account.growth_value, Account.tier_code)
    assert rows(*account, where=[Account.member_id == member]) == [(1000, "silver")]


def test_defect_31_points_expire_by_their_date_and_a_shop_may_have_no_rule(a_member, now):
    member = a_member()
    give(member, 10, "made first", expires_at=now + timedelta(days=9), now=now)
    give(member, 10, "ends first", expires_at=now + timedelta(days=1), now=now)
    points_last_months(0)

    spend(member, 5, "some", now=now)
    gone = points.expire_due(now=now + timedelta(days=2))

    assert expiry_policies.in_force().life("base", now).expires_at is None
    assert gone == 5 and [left for left, _ in lots(member)] == [10, 0] and wrong() == []


def test_defects_22_and_33_the_balance_after_is_read_under_the_lock(app, a_member):
    member = a_member(points=100)

    together(app, [lambda n=n: spend(member, 3, f"s{n}") for n in range(16)])

    after = [row for (row,) in rows(LedgerEntry.balance_after_points, order=LedgerEntry.seq)]
    assert after == [100 - 3 * n for n in range(17)] and wrong() == []
