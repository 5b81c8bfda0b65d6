"""An invite code, its picture, and the friends it brought."""

import pytest

from mall import jobs

WEEK_S = 7 * 86_400


@pytest.fixture
def buy(as_staff):
    """A purchase of somebody's, and what follows from it."""

    def purchase(shopper, receipt_no: str) -> None:
        receipt = {"member_id": shopper.id, "receipt_no": receipt_no, "amount_fen": 1000}
        assert as_staff("clerk-a").post("/clerk/purchases", receipt).status_code == 201
        jobs.drain_events()

    return purchase


def referral(shopper) -> dict:
    return shopper.get("/me/referral").json


@pytest.mark.covers("F1")
def test_an_invite_code_and_its_picture_are_everybodys_own(as_shopper):
    one, two = as_shopper("one"), as_shopper("two")

    mine, others = referral(one), referral(two)

    named = {"invite_code", "wxacode_url", "invited", "rewarded", "pending", "ladder", "rule"}
    assert set(mine) == named
    assert mine == {
        **mine,
        "invite_code": mine["invite_code"],
        "wxacode_url": f"/api/v1/wxacodes/{mine['invite_code']}.png",
        "invited": 0,
        "rewarded": 0,
        "pending": 0,
    }
    assert mine["invite_code"] != others["invite_code"]


@pytest.mark.covers("F1")
def test_a_friend_joins_buys_and_is_paid_for_after_the_hold(app, as_shopper, buy):
    inviter = as_shopper("inviter")
    friend = as_shopper("friend", invite_code=referral(inviter)["invite_code"])
    steps = [(referral(inviter), inviter.get("/me/referrals").json["items"])]

    buy(friend, "R1")
    steps.append((referral(inviter), inviter.get("/me/referrals").json["items"]))
    pending = [who.get("/me/card").json["points"] for who in (inviter, friend)]
    app.config["CLOCK_OFFSET_S"] = WEEK_S + 60
    jobs.drain_events()
    inviter, friend = as_shopper("inviter"), as_shopper("friend")
    steps.append((referral(inviter), inviter.get("/me/referrals").json["items"]))

    told = [
        (r["invited"], r["pending"], r["rewarded"], f["state"], f["points"]) for r, (f,) in steps
    ]
    assert told == [(1, 0, 0, "joined", 0), (1, 1, 0, "qualified", 100), (1, 0, 1, "rewarded", 100)]
    assert [points["pending"] for points in pending] == [100, 50]
    paid = [who.get("/me/card").json["points"] for who in (inviter, friend)]
    assert [(p["available"], p["pending"]) for p in paid] == [(100, 0), (60, 0)]


@pytest.mark.covers("F1")
def test_only_the_first_purchase_is_paid_for(as_shopper, buy):
    inviter = as_shopper("inviter")
    friend = as_shopper("friend", invite_code=referral(inviter)["invite_code"])

    for receipt_no in ("R1", "R2"):
        buy(friend, receipt_no)

    assert inviter.get("/me/card").json["points"]["pending"] == 100


@pytest.mark.covers("F1")
def test_who_is_a_member_already_is_no_ones_friend(as_shopper):
    inviter, member = as_shopper("inviter"), as_shopper("member")
    code = referral(inviter)["invite_code"]

    as_shopper("member", invite_code=code)
    as_shopper("inviter", invite_code=referral(member)["invite_code"])

    assert referral(inviter)["invited"] == referral(member)["invited"] == 0


@pytest.mark.covers("F1")
def test_the_first_who_invited_stays_the_one(as_shopper):
    one, two = as_shopper("one"), as_shopper("two")

    for inviter in (one, two):
        as_shopper("friend", invite_code=referral(inviter)["invite_code"])

    assert (referral(one)["invited"], referral(two)["invited"]) == (1, 0)


def test_a_code_that_is_nobodys_keeps_nobody_from_joining(as_shopper):
    codes = ["ZZZZZZZZ", "x", "lower case", "🎁", "'; --"]

    joined = [as_shopper(f"friend-{n}", invite_code=code).id for n, code in enumerate(codes)]

    assert len(set(joined)) == len(codes)


@pytest.mark.covers("F1")
def test_a_code_typed_in_lower_case_is_the_same_code(as_shopper):
    inviter = as_shopper("inviter")

    as_shopper("friend", invite_code=referral(inviter)["invite_code"].lower())

    assert referral(inviter)["invited"] == 1
