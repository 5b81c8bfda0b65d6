"""The history of points, each row with its why."""

import re
from pathlib import Path

import pytest

from blueprints.words import KINDS

ROOT = Path(__file__).resolve().parents[3]

ENTRY = {
    "id",
    "kind",
    "delta",
    "balance_after",
    "reason",
    "rule",
    "rule_version",
    "why",
    "why_en",
    "inputs",
    "receipt",
    "lines",
    "expires_at",
    "ref",
    "created_at",
}


@pytest.fixture
def a_week(as_shopper, as_staff, a_reward, redeem):
    """A shopper who bought, signed in, redeemed, cancelled and was given something."""
    shopper, clerk, admin = as_shopper("one"), as_staff("clerk-a"), as_staff("admin")
    receipt = {"member_id": shopper.id, "receipt_no": "R1", "amount_fen": 19_990}
    purchase = clerk.post("/clerk/purchases", receipt).json
    shopper.post("/me/checkins", key=None)
    redeemed = redeem(shopper, a_reward(price_points=100, title="保温杯"))
    shopper.post(f"/me/redemptions/{redeemed['id']}/cancellation")
    change = {"points": -4, "reason": "多记积分"}
    adjustment = admin.post(f"/admin/members/{shopper.id}/points-adjustments", change).json
    return shopper, purchase["id"], redeemed["id"], adjustment["id"]


@pytest.mark.covers("C13", "C1")
def test_every_change_is_a_row_with_its_why_newest_first(a_week):
    shopper, purchase, redeemed, adjustment = a_week

    rows = shopper.get("/me/points/entries").json["items"]

    assert all(set(row) == ENTRY for row in rows)
    assert [(r["kind"], r["delta"], r["balance_after"], r["reason"]) for r in rows] == [
        ("adjust", -4, 200, "人工调整：多记积分"),
        ("cancel", 100, 204, "取消兑换，积分退回"),
        ("redeem", -100, 104, "兑换礼品：保温杯"),
        ("check_in", 5, 204, "每日签到"),
        ("purchase", 199, 199, "消费获得积分"),
    ]
    assert [row["ref"] for row in rows if row["kind"] != "check_in"] == [
        f"adjustment:{adjustment}",
        f"redemption:{redeemed}",
        f"redemption:{redeemed}",
        f"purchase:{purchase}",
    ]
    assert [row["rule"] for row in rows] == ["", "", "", "连签第1天 v1", "消费积分@1"]


def test_what_came_in_says_until_when_and_what_went_out_does_not(a_week):
    shopper, *_ = a_week

    rows = {row["kind"]: row for row in shopper.get("/me/points/entries").json["items"]}

    assert all(rows[kind]["expires_at"].endswith("+08:00") for kind in ("purchase", "check_in"))
    assert [rows[kind]["expires_at"] for kind in ("adjust", "redeem")] == [None, None]


def test_the_why_is_in_the_callers_language(a_week):
    shopper, *_ = a_week

    english = shopper.get("/me/points/entries", headers={"Accept-Language": "en"}).json["items"]

    assert [row["reason"] for row in english] == [
        "Adjusted by the shop：多记积分",
        "Redemption cancelled, points returned",
        "Traded for a reward：保温杯",
        "Daily sign-in",
        "Points for a purchase",
    ]


def test_who_is_new_has_no_history(as_shopper):
    answer = as_shopper("new").get("/me/points/entries")

    assert answer.json == {"items": [], "next_cursor": None}


def test_every_kind_of_entry_that_the_code_makes_has_its_words():
    made = set()
    for file in (ROOT / "mall").rglob("*.py"):
        made |= set(re.findall(r'Cause\(\s*"([a-z_]+)"', file.read_text(encoding="utf-8")))

    assert made >= {"redeem", "refund", "hold", "transfer_in"}
    assert made - set(KINDS) == set()
