"""The history of points says why: the rule and its version, the numbers, the receipt, in two languages."""

import pytest
import sqlalchemy as sa

from blueprints.entries import INPUTS, WHY
from blueprints.words import KINDS
from mall import clock, points
from models import db
from tests.mall.books import DAY

RULE = {"rate_points": 100, "rate_fen": 100, "max_percent": 30, "step_points": 100}


@pytest.fixture
def history(app, as_staff, as_shopper, grant_points):
    """What happened with a receipt from the payment to its refund, and a day; by kind."""
    admin, clerk, shopper = as_staff("admin"), as_staff("clerk-a"), as_shopper("one")
    grant_points(shopper, 2_000)
    admin.post("/admin/payment-rules", RULE)
    terms = {"kind": "rolling", "lasts": 3, "unit": "day"}
    admin.post("/admin/expiry-policies", {"terms": terms})
    bill = {"member_id": shopper.id, "receipt_no": "R1"}
    clerk.post("/clerk/points-payments", {**bill, "bill_fen": 5_000})
    bought = clerk.post("/clerk/purchases", {**bill, "amount_fen": 5_000}).json["id"]
    clerk.post(f"/clerk/purchases/{bought}/refunds", {"amount_fen": 2_000})
    shopper.post("/me/checkins", key=None)
    points.expire_due(now=clock.now() + 5 * DAY)

    rows = shopper.get("/me/points/entries").json["items"]
    return bought, {row["kind"]: row for row in rows}


@pytest.mark.covers("C13")
def test_each_row_has_its_rule_version_inputs_receipt_and_expiry(history):
    bought, rows = history

    receipt = {"purchase_id": bought, "receipt_no": "R1", "store": "A店", "amount_fen": 5_000}
    assert {kind for kind, row in rows.items() if row["receipt"] == receipt} == {
        "purchase",
        "pay_back",
        "refund",
    }
    assert rows["pay"]["receipt"] == {**receipt, "purchase_id": None}
    assert (rows["purchase"]["rule"], rows["purchase"]["rule_version"]) == ("消费积分@1", 1)
    assert rows["purchase"]["inputs"] == {"amount_fen": 5_000, "points_awarded": 50}
    assert [line["rule"] for line in rows["purchase"]["lines"]] == ["消费积分@1"]
    assert rows["purchase"]["expires_at"] and rows["refund"]["expires_at"] is None
    assert (rows["pay"]["rule"], rows["pay"]["rule_version"]) == ("积分抵现@1", 1)
    assert rows["refund"]["inputs"]["refunded_fen"] == 2_000
    assert rows["expire"]["inputs"]["policy_version"] == 2
    assert rows["adjust"]["receipt"] is None and rows["adjust"]["inputs"] == {}


@pytest.mark.covers("C13")
def test_both_languages_stand_beside_each_other_whoever_asks(history):
    _, rows = history

    told = {kind: (row["why"], row["why_en"]) for kind, row in rows.items()}

    assert told["purchase"][0].startswith("消费 50.00 元，得 50 分")
    assert told["pay"] == (
        "账单 50.00 元，用 1500 分抵 15.00 元",
        "1500 points paid 15.00 of a bill of 50.00 yuan.",
    )
    assert told["pay_back"][0] == "抵现 1500 分，按退款比例退回 600 分至原批次"
    assert told["refund"][0] == "退款后累计已退 20.00 元，扣回 20 分"
    assert "到期" in told["expire"][0] and "were left on the last day" in told["expire"][1]
    assert told["adjust"] == KINDS["adjust"]
    assert all(zh and en and zh != en for zh, en in told.values())


def test_every_sentence_has_its_inputs_and_every_kind_a_name():
    assert set(WHY) == set(INPUTS) <= set(KINDS)


def test_a_page_of_many_rows_asks_for_each_noun_once(as_staff, as_shopper, app):
    clerk, shopper, seen = as_staff("clerk-a"), as_shopper("one"), []

    def asked(receipts):
        for number in receipts:
            receipt = {"member_id": shopper.id, "receipt_no": f"R{number}", "amount_fen": 500}
            clerk.post("/clerk/purchases", receipt)
        seen.clear()
        assert len(shopper.get("/me/points/entries?limit=100").json["items"]) == receipts[-1] + 1
        return len(seen)

    def hear(_connection, _cursor, statement, *_):
        seen.append(statement)

    sa.event.listen(db.engine, "before_cursor_execute", hear)
    try:
        assert asked(range(2)) == asked(range(2, 20))
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hear)
