"""A day in the shop, over HTTP alone, in the real processes."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journeys.program import Program, Visitor
from tests.servers import wait_until

pytestmark = pytest.mark.xdist_group("serve")

SIMULTANEOUS = 64


def points(visitor: Visitor) -> int:
    return visitor.get("/me/card")["points"]["available"]


def scan(clerk: Visitor, shopper: Visitor) -> dict:
    """The clerk scans the code on the shopper's card."""
    code = shopper.get("/me/card")["code"]["payload"]
    answer = clerk.post("/clerk/scans", {"code": code})
    assert answer.status == 200, answer.raw
    return answer.body


def buy(clerk: Visitor, shopper: Visitor, amount_fen: int) -> dict:
    body = {
        "scan_token": scan(clerk, shopper)["scan_token"],
        "receipt_no": secrets.token_hex(8),
        "amount_fen": amount_fen,
    }
    answer = clerk.post("/clerk/purchases", body)
    assert answer.status == 201, answer.raw
    return answer.body


def stock(admin: Visitor, *, units: int, **fields: object) -> int:
    """The admin puts a reward on the shelf; answers its id."""
    body = {"title": "开业礼", "kind": "pickup", "price_points": 100, **fields}
    reward = admin.post("/admin/rewards", body)
    assert reward.status == 201, reward.raw
    path = f"/admin/rewards/{reward.body['id']}/stock-moves"
    moved = admin.post(path, {"quantity": units, "reason": "purchase"})
    assert moved.body["units_left"] == units, moved.raw
    return reward.body["id"]


def assert_the_ledger_is_clean(program: Program) -> None:
    proof = program.staff("admin").get("/admin/ledger/verification")
    assert proof["mismatches"] == []
    assert proof["checked"]["accounts"] > 0


@pytest.mark.covers("A1", "D1", "E2", "F1", "G1", "G2", "G3", "C13")
def test_two_friends_from_joining_to_a_verified_reward(program: Program, named: str):
    # two shoppers join, one by the other's invitation
    ming = program.shopper(f"{named}-ming")
    invite_code = ming.get("/me/referral")["invite_code"]
    hong = program.shopper(f"{named}-hong", invite_code=invite_code)
    assert ming.get("/me/referral") | {"invited": 1, "rewarded": 0} == ming.get("/me/referral")

    # both sign in, once a day
    assert ming.post("/me/checkins").status == 201
    assert hong.post("/me/checkins").status == 201
    again = hong.post("/me/checkins")
    assert (again.status, again.body["already"]) == (200, True)

    # the clerk scans a card and records a purchase: points, growth, and the referral follow
    clerk = program.staff("clerk-a")
    bought, seen = buy(clerk, hong, 29_990), buy_seen(hong)
    assert (bought["points_awarded"], bought["growth_awarded"]) == (299, 299)
    assert {name: bought[name] for name in seen} == seen
    assert [(line["rule"], line["why"]) for line in bought["lines"]] == [("消费积分@1", "earned")]
    wait_until(lambda: ming.get("/me/referral")["rewarded"] == 1, what="the referral's credit")
    assert points(ming) == 5 + 100
    assert points(hong) == 5 + 299 + 50

    # an admin stocks a reward, the shopper redeems it
    reward_id = stock(program.staff("admin"), units=3, per_member_limit=1)
    redeemed = hong.post("/me/redemptions", {"reward_id": reward_id, "quantity": 1})
    assert redeemed.status == 201, redeemed.raw
    assert redeemed.body["balance_after"] == points(hong) == 254

    # the clerk verifies the voucher; a second verification says who, where and when
    code = redeemed.body["voucher"]["code"]
    used = clerk.post(f"/clerk/vouchers/{code}/use")
    assert used.body["hand_over"] == {"title": "开业礼", "quantity": 1}
    twice = clerk.post(f"/clerk/vouchers/{code}/use")
    assert (twice.status, twice.body["code"]) == (409, "voucher_used")
    assert (twice.body["clerk"], twice.body["store"]) == ("李小满", "人民广场店")
    assert twice.body["used_at"] == used.body["voucher"]["used_at"]
    assert program.staff("clerk-b").post(f"/clerk/vouchers/{code}/use").status == 409

    # the shopper's history shows each row with its reason
    rows = hong.get("/me/points/entries")["items"]
    assert [(row["kind"], row["delta"]) for row in rows] == [
        ("redeem", -100),
        ("referral_welcome", 50),
        ("purchase", 299),
        ("check_in", 5),
    ]
    assert all(row["reason"] for row in rows)
    assert_the_ledger_is_clean(program)


def buy_seen(shopper: Visitor) -> dict:
    """The purchase as the shopper's own history has it."""
    row = shopper.get("/me/points/entries")["items"][0]
    growth = shopper.get("/me/card")["growth"]["value"]
    return {
        "id": int(row["ref"].partition(":")[2]),
        "points_awarded": row["delta"],
        "growth_awarded": growth,
        "balance_after": row["balance_after"],
    }


@pytest.mark.covers("E2", "E3")
def test_two_hundred_redemptions_at_once_of_ten_units(program: Program, named: str):
    admin, clerk = program.staff("admin"), program.staff("clerk-a")
    reward_id = stock(admin, units=10, price_points=30)
    shoppers = [program.shopper(f"{named}-{number}") for number in range(200)]
    with ThreadPoolExecutor(16) as tills:
        list(tills.map(lambda shopper: buy(clerk, shopper, 10_000), shoppers))

    with ThreadPoolExecutor(SIMULTANEOUS) as crowd:
        body = {"reward_id": reward_id, "quantity": 1}
        answers = list(crowd.map(lambda s: s.post("/me/redemptions", body), shoppers))

    granted = [answer.status == 201 for answer in answers]
    refused = [a.body["code"] for a, ok in zip(answers, granted, strict=True) if not ok]
    assert sum(granted) == 10
    assert set(refused) == {"sold_out"}
    balances = [points(shopper) for shopper in shoppers]
    assert balances == [70 if ok else 100 for ok in granted]
    seen = admin.get(f"/admin/rewards/{reward_id}/stock")
    assert (seen["stocked"], seen["units_left"], seen["redeemed"]) == (10, 0, 10)
    assert_the_ledger_is_clean(program)


@pytest.mark.covers("D1")
def test_fifty_check_ins_at_once_of_one_member_pay_once(program: Program, named: str):
    shopper = program.shopper(f"{named}-eager")

    with ThreadPoolExecutor(50) as taps:
        answers = list(taps.map(lambda _: shopper.post("/me/checkins"), range(50)))

    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert points(shopper) == 5
    assert len(shopper.get("/me/points/entries")["items"]) == 1


def test_a_request_sent_again_gets_the_very_same_answer(program: Program, named: str):
    shopper, clerk = program.shopper(f"{named}-patient"), program.staff("clerk-a")
    buy(clerk, shopper, 100_00)
    body = {"reward_id": stock(program.staff("admin"), units=5, price_points=40), "quantity": 1}
    key = secrets.token_hex(16)

    first = shopper.post("/me/redemptions", body, key=key)
    second = shopper.post("/me/redemptions", body, key=key)

    assert (second.status, second.raw) == (first.status, first.raw) and first.status == 201
    assert second.headers["Idempotent-Replayed"] == "true"
    assert points(shopper) == 60


@pytest.mark.covers("E10")
def test_a_cancelled_redemption_gives_everything_back(program: Program, named: str):
    shopper, clerk = program.shopper(f"{named}-unsure"), program.staff("clerk-a")
    buy(clerk, shopper, 100_00)
    reward_id = stock(program.staff("admin"), units=1, price_points=100)
    redeemed = shopper.post("/me/redemptions", {"reward_id": reward_id, "quantity": 1}).body

    cancelled = shopper.post(f"/me/redemptions/{redeemed['id']}/cancellation")

    assert (cancelled.status, cancelled.body["balance_after"]) == (200, 100)
    code = redeemed["voucher"]["code"]
    assert clerk.post(f"/clerk/vouchers/{code}/use").body["code"] == "voucher_void"
    other = program.shopper(f"{named}-next")
    buy(clerk, other, 100_00)
    assert other.post("/me/redemptions", {"reward_id": reward_id, "quantity": 1}).status == 201
    assert_the_ledger_is_clean(program)


@pytest.mark.covers("C10")
def test_a_large_adjustment_waits_for_a_second_admin(program: Program, named: str):
    shopper = program.shopper(f"{named}-lucky")
    member_id = shopper.get("/me")["id"]
    admin, owner = program.staff("admin"), program.staff("owner")
    path = f"/admin/members/{member_id}/points-adjustments"

    asked = admin.post(path, {"points": 100_001, "reason": "周年活动"})
    alone = admin.post(f"/admin/points-adjustments/{asked.body['id']}/review", {"approved": True})
    together = owner.post(
        f"/admin/points-adjustments/{asked.body['id']}/review", {"approved": True}
    )

    assert (asked.status, alone.status, together.status) == (202, 409, 200)
    assert points(shopper) == 100_001
