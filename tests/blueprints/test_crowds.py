"""Many at once, through the front door: each gets one answer, and the books add up."""

import secrets
from collections.abc import Iterator

import pytest
from redis import Redis

from mall import clock, jobs, tokens
from tests.blueprints.conftest import PATIENCE_S
from tests.caller import Caller

CROWD = 200
UNITS = 10


def codes(answers) -> list:
    """What was answered, sorted: a refusal by its code, the rest by its status."""
    return sorted(str(answer.json.get("code", answer.status_code)) for answer in answers)


@pytest.fixture(autouse=True)
def patient_redis(app, monkeypatch) -> Iterator[None]:
    """A Redis that is waited for: two hundred threads of one Python are slower than any server."""
    url = app.config["REDIS_URL"]
    with Redis.from_url(url, socket_timeout=PATIENCE_S, decode_responses=True) as client:
        monkeypatch.setitem(app.extensions, "redis", client)
        yield


@pytest.fixture
def crowd(anybody, a_member) -> list[Caller]:
    """Two hundred shoppers with points for three."""

    def enter() -> Caller:
        member_id = a_member(points=300)
        token, _ = tokens.for_shopper(member_id, now=clock.now())
        return Caller(anybody.app, anybody.contract, token)

    return [enter() for _ in range(CROWD)]


@pytest.mark.covers("E2", "E3")
def test_two_hundred_who_want_ten_cups_get_ten_cups(crowd, a_reward, as_staff, at_once):
    reward, admin = a_reward(price_points=100, units=UNITS), as_staff("admin")
    body = {"reward_id": reward.id, "quantity": 1}

    answers = at_once([lambda c=c: c.post("/me/redemptions", body) for c in crowd])

    assert codes(answers) == ["201"] * UNITS + ["sold_out"] * (CROWD - UNITS)
    for shopper, answer in zip(crowd, answers, strict=True):
        card, won = shopper.get("/me/card").json, answer.status_code == 201
        assert (card["points"]["available"], card["vouchers"]) == ((200, 1) if won else (300, 0))
    jobs.keep_gates()
    jobs.keep_gates()  # a gate built while others commit may let in too many, until it is seen twice
    stock = admin.get(f"/admin/rewards/{reward.id}/stock").json
    assert (stock["units_left"], stock["redeemed"], stock["drift"]) == (0, UNITS, 0)
    assert admin.get("/admin/ledger/verification").json["mismatches"] == []


@pytest.mark.covers("D1")
def test_fifty_check_ins_of_one_member_pay_once(as_shopper, at_once):
    shopper = as_shopper("eager")

    answers = at_once([lambda: shopper.post("/me/checkins", key=None)] * 50)

    assert codes(answers) == ["200"] * 49 + ["201"]
    assert sorted(answer.json["already"] for answer in answers) == [False] + [True] * 49
    assert shopper.get("/me/card").json["points"]["available"] == 5
    assert [e["delta"] for e in shopper.get("/me/points/entries").json["items"]] == [5]


@pytest.mark.covers("E2")
def test_one_request_sent_twenty_times_at_once_is_one_redemption(
    as_shopper, a_reward, at_once, grant_points
):
    shopper, reward, key = as_shopper("eager"), a_reward(price_points=10), secrets.token_hex(16)
    grant_points(shopper, 300)
    body = {"reward_id": reward.id, "quantity": 1}

    answers = at_once([lambda: shopper.post("/me/redemptions", body, key=key)] * 20)
    later = shopper.post("/me/redemptions", body, key=key)

    assert set(codes(answers)) <= {"201", "idempotency_key_in_progress"}
    assert {answer.data for answer in answers if answer.status_code == 201} == {later.data}
    assert sum("Idempotent-Replayed" not in a.headers for a in answers if a.status_code == 201) == 1
    assert shopper.get("/me/card").json["points"]["available"] == 290


@pytest.mark.covers("E4")
def test_a_limit_of_one_holds_against_twenty_requests_at_once(
    as_shopper, a_reward, at_once, grant_points
):
    shopper, reward = as_shopper("eager"), a_reward(price_points=10, per_member_limit=1)
    grant_points(shopper, 300)
    body = {"reward_id": reward.id, "quantity": 1}

    answers = at_once([lambda: shopper.post("/me/redemptions", body)] * 20)

    assert codes(answers) == ["201"] + ["limit_reached"] * 19
    assert shopper.get("/me/card").json["points"]["available"] == 290


@pytest.mark.covers("G3")
def test_a_voucher_verified_at_two_tills_at_once_is_handed_over_once(
    as_shopper, as_staff, a_reward, redeem, at_once
):
    code = redeem(as_shopper("one"), a_reward(price_points=0))["voucher"]["code"]
    tills = [as_staff("clerk-a"), as_staff("clerk-b")] * 5

    answers = at_once([lambda t=t: t.post(f"/clerk/vouchers/{code}/use") for t in tills])

    assert codes(answers) == ["200"] + ["voucher_used"] * 9
    winner = next(a.json["voucher"] for a in answers if a.status_code == 200)
    for loser in (a.json for a in answers if a.status_code == 409):
        assert (loser["store"], loser["clerk"]) == (winner["used_store"], winner["used_by"])
        assert loser["used_at"] == winner["used_at"]


@pytest.mark.covers("G2", "A6")
def test_a_receipt_shown_at_two_tills_at_once_earns_once(as_shopper, as_staff, at_once):
    shopper, till = as_shopper("one"), as_staff("clerk-a")
    receipt = {"member_id": shopper.id, "receipt_no": "R1", "amount_fen": 10_000}

    answers = at_once([lambda: till.post("/clerk/purchases", receipt)] * 10)

    assert codes(answers) == ["201"] + ["receipt_known"] * 9
    assert shopper.get("/me/card").json["points"]["available"] == 100


@pytest.mark.covers("A2")
def test_a_member_code_scanned_at_ten_tills_at_once_is_good_for_one(as_shopper, as_staff, at_once):
    payload = as_shopper("one").get("/me/card").json["code"]["payload"]
    tills = [as_staff("clerk-a"), as_staff("clerk-b")] * 5

    answers = at_once(
        [lambda t=t: t.post("/clerk/scans", {"code": payload}, key=None) for t in tills]
    )

    assert codes(answers) == ["200"] + ["code_used"] * 9


@pytest.mark.covers("A1")
def test_one_newcomer_who_logs_in_twenty_times_at_once_joins_once(anybody, at_once, as_staff):
    calls = [lambda: anybody.post("/auth/wechat", {"code": "user-new"}, key=None)] * 20

    answers = at_once(calls)

    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(answer.json["joined"] for answer in answers) == [False] * 19 + [True]
    assert len({answer.json["member"]["id"] for answer in answers}) == 1
    assert len(as_staff("admin").get("/admin/members").json["items"]) == 1


@pytest.mark.covers("A4")
def test_one_phone_number_bound_by_ten_at_once_is_one_members(as_shopper, at_once):
    shoppers = [as_shopper(f"one-{n}") for n in range(10)]
    body = {"code": "phone-13800000001"}

    answers = at_once([lambda s=s: s.post("/me/phone", body) for s in shoppers])

    assert codes(answers) == ["200"] + ["phone_taken"] * 9
    phones = [shopper.get("/me").json["phone_masked"] for shopper in shoppers]
    assert sorted(phones, key=str) == ["138****0001"] + [None] * 9


@pytest.mark.covers("E10")
def test_cancelling_ten_times_at_once_pays_back_once(
    as_shopper, as_staff, a_reward, redeem, at_once, grant_points
):
    shopper, reward = as_shopper("one"), a_reward(price_points=100, units=1)
    grant_points(shopper, 100)
    path = f"/me/redemptions/{redeem(shopper, reward)['id']}/cancellation"

    answers = at_once([lambda: shopper.post(path)] * 10)

    assert codes(answers) == ["200"] + ["already_cancelled"] * 9
    assert shopper.get("/me/card").json["points"]["available"] == 100
    stock = as_staff("admin").get(f"/admin/rewards/{reward.id}/stock").json
    assert (stock["units_left"], stock["gate"]["units_left"]) == (1, 1)


def test_two_admins_who_change_one_reward_at_once_are_told_of_each_other(
    as_staff, a_reward, at_once
):
    admin, reward = as_staff("admin"), a_reward()
    path = f"/admin/rewards/{reward.id}"
    etag = admin.get(path).headers["ETag"]

    answers = at_once(
        [
            lambda n=n: admin.patch(path, {"title": f"名{n}"}, headers={"If-Match": etag})
            for n in range(8)
        ]
    )

    assert codes(answers) == ["200"] + ["changed_meanwhile"] * 7
    won = next(answer for answer in answers if answer.status_code == 200)
    assert admin.get(path).json["title"] == won.json["title"]


@pytest.mark.covers("E3")
def test_stock_taken_out_by_ten_at_once_never_goes_below_what_is_there(as_staff, a_reward, at_once):
    admin, reward = as_staff("admin"), a_reward(units=5)
    move = {"quantity": -2, "reason": "damage"}

    answers = at_once([lambda: admin.post(f"/admin/rewards/{reward.id}/stock-moves", move)] * 10)

    assert codes(answers) == ["201"] * 2 + ["stock_promised"] * 8
    assert admin.get(f"/admin/rewards/{reward.id}/stock").json["units_left"] == 1
