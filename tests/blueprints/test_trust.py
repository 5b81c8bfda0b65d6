"""Experiments X19 to X24 over HTTP: codes, scopes, guesses, fraud, and what no body may be."""

import random
import resource
import string
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from mall import clock, jobs, keys, vouchers
from models import Account, MemberCodeUse, Referral, Voucher
from tests.caller import Caller
from tests.makers import grant
from tests.mall.books import count, one, rows, wrong

NONSENSE = string.digits + string.ascii_uppercase


def code(answer):
    return answer.status_code, (answer.json or {}).get("code")


def later(app, **span):
    app.config["CLOCK_OFFSET_S"] += int(timedelta(**span).total_seconds())


def at_once(app, calls):
    """Answers of calls that start together, each as a request of its own."""

    def run(call):
        with app.app_context():
            return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.fixture
def shopper(as_shopper):
    return as_shopper("holder")


@pytest.fixture
def payload(shopper):
    return lambda: shopper.get("/me/card").json["code"]["payload"]


# X19: member codes


@pytest.mark.covers("K4")
def test_x19_a_code_is_good_for_one_scan_at_one_till(app, payload, as_staff):
    here, there = as_staff("clerk-a"), as_staff("clerk-b")
    shown = payload()

    answers = at_once(
        app,
        [lambda till=till: till.post("/clerk/scans", {"code": shown}) for till in (here, there)],
    )

    assert sorted(code(each) for each in answers) == [(200, None), (409, "code_used")]
    assert code(here.post("/clerk/scans", {"code": shown})) == (409, "code_used")
    assert count(MemberCodeUse) == 1


def test_x19_a_code_is_good_for_its_step_and_the_next(app, payload, as_staff):
    till = as_staff("clerk-a")
    old = {age_s: payload() for age_s in (31, 61, 91)}
    base = app.config["CLOCK_OFFSET_S"]
    into_step = int(clock.now().timestamp()) % 30

    answers = {}
    for age_s, shown in old.items():
        app.config["CLOCK_OFFSET_S"] = (
            base - into_step + age_s
        )  # counted from the step's first second
        answers[age_s] = code(till.post("/clerk/scans", {"code": shown}))

    assert answers == {31: (200, None), 61: (409, "code_expired"), 91: (409, "code_expired")}


def test_x19_no_bit_of_a_code_can_be_another(payload, as_staff):
    till, shown = as_staff("clerk-a"), payload()

    for place, character in enumerate(shown):
        forged = shown[:place] + chr(ord(character) ^ 1) + shown[place + 1 :]
        answer = till.post("/clerk/scans", {"code": forged})
        assert answer.status_code == 400, (place, answer.json)

    assert (
        count(MemberCodeUse) == 0 and till.post("/clerk/scans", {"code": shown}).status_code == 200
    )


def test_x19_a_code_of_another_ring_is_forged_and_compared_in_constant_time(
    payload, as_staff, app, monkeypatch
):
    compared = []
    same = keys.hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append(1) or same(a, b))
    shown, till = payload(), as_staff("clerk-a")
    prefix, _, *rest = shown.split(".")

    other = ".".join([prefix, "k9", *rest])
    assert code(till.post("/clerk/scans", {"code": other})) == (400, "code_invalid")
    assert till.post("/clerk/scans", {"code": shown}).status_code == 200 and compared


def test_x19_a_scan_identifies_and_pays_for_nothing(shopper, payload, as_staff, anybody):
    grant(shopper.id, 100)
    token = as_staff("clerk-a").post("/clerk/scans", {"code": payload()}).json["scan_token"]

    as_member = Caller(anybody.app, anybody.contract, token)

    assert as_member.get("/me").status_code == 401
    assert as_member.post("/me/redemptions", {"reward_id": 1, "quantity": 1}).status_code == 401


# X20: scopes


@pytest.mark.covers("K9", "K4")
def test_x20_another_stores_till_sees_nothing_of_this_one(
    shopper, as_staff, a_reward, stores, redeem
):
    here, there = as_staff("clerk-a"), as_staff("clerk-b")
    grant(shopper.id, 100)
    reward = a_reward(price_points=10, title="只在A店的杯子")
    voucher = redeem(shopper, reward, store_id=stores["A"])["voucher"]["code"]
    receipt = {"member_id": shopper.id, "receipt_no": "A-ONLY-1", "amount_fen": 100}
    bought = here.post("/clerk/purchases", receipt).json["id"]
    done = here.get("/clerk/actions").json["items"][0]["id"]

    answers = [
        there.post("/clerk/scans", {"code": voucher}),
        there.post(f"/clerk/vouchers/{voucher}/use", {}),
        there.post(f"/clerk/purchases/{bought}/refunds", {"amount_fen": 100}),
        there.post(f"/clerk/actions/{done}/undo", {"reason": "误操作"}),
    ]

    assert [each.status_code for each in answers] == [404] * 4
    told = "".join(each.get_data(as_text=True) for each in answers)
    assert "只在A店" not in told and "A-ONLY" not in told and "A店" not in told
    assert there.get("/clerk/actions").json["items"] == []
    assert here.post(f"/clerk/vouchers/{voucher}/use", {}).status_code == 200


def test_x20_another_members_things_are_not_there(shopper, as_shopper, a_reward, redeem):
    grant(shopper.id, 100)
    mine = redeem(shopper, a_reward(price_points=10))["id"]
    other = as_shopper("other")

    answers = [
        other.get(f"/me/redemptions/{mine}"),
        other.post(f"/me/redemptions/{mine}/cancellation", {}),
    ]

    assert [code(each) for each in answers] == [(404, "not_found")] * 2
    assert shopper.get(f"/me/redemptions/{mine}").json["state"] == "issued"


# X21: vouchers


def test_x21_of_fifty_scans_at_once_one_hands_over(app, shopper, as_staff, a_reward, redeem):
    grant(shopper.id, 100)
    voucher = redeem(shopper, a_reward(price_points=10))["voucher"]["code"]
    tills = [as_staff("clerk-a"), as_staff("manager-a")]

    answers = at_once(
        app,
        [lambda n=n: tills[n % 2].post(f"/clerk/vouchers/{voucher}/use", {}) for n in range(50)],
    )

    statuses = [each.status_code for each in answers]
    assert statuses.count(200) == 1 and set(statuses) <= {200, 409, 503}
    assert rows(Voucher.state) == [("used",)] and wrong() == []


@pytest.mark.covers("K4")
def test_x21_ten_thousand_guesses_find_nothing_and_the_eleventh_is_not_even_looked_at(
    app, as_staff, shopper, a_reward, redeem
):
    grant(shopper.id, 500)
    real = {redeem(shopper, a_reward(price_points=10))["voucher"]["code"] for _ in range(20)}
    draw, till = random.Random(21), as_staff("clerk-a")
    guesses = ["".join(draw.choices(vouchers.ALPHABET, k=17)) for _ in range(10_000)]

    answers = [till.post(f"/clerk/vouchers/{guess}/use", {}).status_code for guess in guesses[:30]]

    assert answers[:10] == [404] * 10 and set(answers[10:]) == {429}
    plain = {vouchers.plain(each) for each in real}
    assert plain.isdisjoint({vouchers.plain(each) for each in guesses} - {None})
    assert count(Voucher, Voucher.state == "used") == 0


# X22: referrals


@pytest.mark.covers("D6")
def test_x22_a_hundred_friends_from_one_address_bring_nothing_and_wait_for_a_look(
    app, as_shopper, as_staff, shopper
):
    invite, till = shopper.get("/me/referral").json["invite_code"], as_staff("clerk-a")
    friends = [as_shopper(f"fake-{n}", invite_code=invite) for n in range(100)]
    for n, friend in enumerate(friends):
        receipt = {"member_id": friend.id, "receipt_no": f"f-{n}", "amount_fen": 10_000}
        till.post("/clerk/purchases", receipt)
    for _ in range(2):
        while jobs.drain_events():
            pass
        later(app, days=31)
    while jobs.drain_events() + jobs.activate_pending():
        pass

    assert one(Account.balance_points, Account.member_id == shopper.id) == 0
    assert one(Account.pending_points, Account.member_id == shopper.id) == 0
    assert count(Referral, Referral.held_at.is_not(None)) == 100
    queue = as_staff("admin").get("/admin/referrals?state=held&limit=100").json["items"]
    assert len(queue) == 100 and wrong() == []


def test_x22_nobody_invites_themselves_in_a_ring_late_or_with_a_made_up_code(
    app, as_shopper, anybody
):
    first = as_shopper("first")
    code_ = first.get("/me/referral").json["invite_code"]
    second = as_shopper("second", invite_code=code_)

    back = second.get("/me/referral").json["invite_code"]
    again = [
        anybody.post("/auth/wechat", {"code": "user-first", "invite_code": each}, key=None).json
        for each in (code_, back)
    ]
    forged = anybody.post("/auth/wechat", {"code": "user-x", "invite_code": "22222222"}, key=None)

    assert [each["invitation"]["state"] for each in again] == ["refused"] * 2
    assert forged.json["joined"] and forged.json["invitation"]["state"] == "refused"
    assert rows(Referral.invitee_id, Referral.inviter_id) == [(second.id, first.id)]


# X23 and X24: bodies and numbers


BODIES = {
    "ten megabytes": (b'{"nickname": "' + b"x" * 10_000_000 + b'"}', 413),
    "a hundred thousand deep": (b"[" * 100_000 + b"]" * 100_000, 400),
    "invalid utf-8": (b'{"nickname": "\xff\xfe"}', 400),
    "nul": (b'{"nickname": "a\\u0000b"}', 400),
    "a lone surrogate": (b'{"nickname": "\\ud800"}', 400),
    "a key twice": (b'{"nickname": "a", "nickname": "b"}', 400),
}


@pytest.mark.parametrize("name", BODIES)
def test_x23_a_body_nobody_should_read_is_refused_and_leaves_no_memory_behind(shopper, name):
    data, status = BODIES[name]
    shopper.call("PATCH", "/me", data=data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    answers = [shopper.call("PATCH", "/me", data=data) for _ in range(5)]

    assert {each.status_code for each in answers} == {status}
    assert {each.content_type for each in answers} == {"application/problem+json"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024
    assert shopper.get("/me").json["nickname"] == ""


@pytest.mark.parametrize("name", ["👨‍👩‍👧‍👦", "é́", "李\u200d雷", "🏳️‍🌈小满"])
def test_x23_a_name_of_many_code_points_comes_back_byte_for_byte(shopper, name):
    shopper.patch("/me", {"nickname": name})

    assert shopper.get("/me").json["nickname"].encode() == name.encode()


NUMBERS = ["0", "-1", "1.0", "1e3", '"5"', "true", "NaN", "Infinity", str(2**31), str(2**53 + 1)]
NUMBERS += [str(2**63), "1" + "0" * 400]


@pytest.mark.parametrize("number", NUMBERS)
def test_x24_a_number_that_is_none_moves_no_point(shopper, as_staff, number):
    grant(shopper.id, 100)
    admin, till = as_staff("admin"), as_staff("clerk-a")
    kind = {"headers": {"Content-Type": "application/json"}}

    answers = [
        till.post(
            "/clerk/purchases",
            data=f'{{"member_id": {shopper.id}, "receipt_no": "n", "amount_fen": {number}}}',
            **kind,
        ),
        admin.post(
            f"/admin/members/{shopper.id}/points-adjustments",
            data=f'{{"points": {number}, "reason": "x"}}',
            **kind,
        )
        if number != "-1"
        else None,
        shopper.post("/me/redemptions", data=f'{{"reward_id": 1, "quantity": {number}}}', **kind),
    ]

    assert {each.status_code for each in answers if each is not None} == {400}
    assert one(Account.balance_points, Account.member_id == shopper.id) == 100
