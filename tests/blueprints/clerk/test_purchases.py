"""A receipt at a till: points and growth, once."""

from datetime import timedelta

import pytest

from mall import clock

ITEM = {"sku": "s1", "title": "茶", "category": "饮料", "quantity": 2, "amount_fen": 500}


@pytest.fixture
def record(as_shopper, as_staff):
    """Record a receipt of a shopper's; answers what the till is told."""
    shopper = as_shopper("one")

    def post(receipt_no: str = "R1", *, clerk: str = "clerk-a", **more):
        body = {"member_id": shopper.id, "receipt_no": receipt_no, "amount_fen": 19_990, **more}
        return as_staff(clerk).post("/clerk/purchases", body)

    post.shopper = shopper
    return post


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("G2", "C1")
def test_a_receipt_earns_points_and_growth_by_whole_yuan(record):
    answer = record()

    line = {
        "rule": "消费积分@1",
        "points": 199,
        "why": "earned",
        "numbers": {"amount_fen": 19_990},
        "reason": "消费 ¥199.90 按此规则计分",
        "reason_en": "¥199.90 earned by this rule.",
    }
    assert (answer.status_code, answer.json | {"id": 0}) == (
        201,
        {
            "id": 0,
            "points_awarded": 199,
            "awaits_pickup": False,
            "points_pending_until": None,
            "growth_awarded": 199,
            "balance_after": 199,
            "lines": [line],
        },
    )
    card = record.shopper.get("/me/card").json
    assert (card["points"]["available"], card["growth"]["value"]) == (199, 199)


@pytest.mark.covers("A6", "G2")
def test_a_receipt_shown_again_is_refused_with_who_and_when(record):
    record()

    answer = record(clerk="manager-a", amount_fen=1)

    assert refused(answer) == (409, "receipt_known")
    assert answer.json["by"] == "clerk-a"
    assert answer.json["at"].endswith("+08:00") and answer.json["at"] in answer.json["detail"]
    assert record.shopper.get("/me/card").json["points"]["available"] == 199


@pytest.mark.covers("A6", "K9")
def test_each_store_counts_its_own_receipts(record):
    answers = [record(clerk=name) for name in ("clerk-a", "clerk-b")]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert record.shopper.get("/me/card").json["points"]["available"] == 398


@pytest.mark.covers("B4")
def test_a_threshold_that_is_crossed_raises_the_tier_at_once(record):
    answers = [record("R1", amount_fen=99_900), record("R2", amount_fen=100)]

    card = record.shopper.get("/me/card").json

    assert [answer.json["growth_awarded"] for answer in answers] == [999, 1]
    assert (card["tier"]["code"], card["growth"]["to_next"]) == ("silver", 4000)


@pytest.mark.covers("C1")
def test_less_than_a_yuan_earns_nothing_and_is_recorded(record):
    answer = record(amount_fen=99)

    assert (answer.status_code, answer.json["points_awarded"]) == (201, 0)
    assert refused(record(amount_fen=99)) == (409, "receipt_known")
    assert record.shopper.get("/me/points/entries").json["items"] == []


def test_items_may_be_told_and_are_looked_at(record):
    answers = [
        record("R1", items=[]),
        record("R2", items=[ITEM]),
        record("R3", items=[{"sku": "s1", "quantity": 1, "amount_fen": 1}] * 200),
        record("R4", items=[{"sku": "s1", "quantity": 1, "amount_fen": 1}] * 201),
        record("R5", items=[{**ITEM, "price": 1}]),
        record("R6", items=[{"sku": "s1"}]),
        record("R7", items={}),
        record("R8", amount_fen=99, items=[ITEM, ITEM]),
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 201, 400, 400, 400, 400, 400]
    assert set(answers[-1].json["errors"]["json"]) == {"items"}


@pytest.mark.covers("C12")
def test_what_was_given_with_it_costs_and_earns_nothing_and_comes_back_with_the_rest(
    record, as_staff
):
    clerk, tea, gift = as_staff("clerk-a"), {**ITEM, "amount_fen": 900}, {**ITEM, "sku": "gift"}
    bought = record(amount_fen=1_000, items=[{**gift, "amount_fen": 0}, tea]).json
    path = f"/clerk/purchases/{bought['id']}/refunds"

    both = clerk.post(path, {"items": [{"sku": sku, "quantity": 1} for sku in ("gift", "s1")]})
    rest = clerk.post(path, {"whole": True})

    assert bought["points_awarded"] == 10
    assert (both.json["amount_fen"], both.json["points_taken"]) == (450, 4)
    assert (rest.json["amount_fen"], rest.json["points_taken"]) == (550, 6)


def test_a_receipt_names_one_member_and_in_one_way(as_staff, as_shopper):
    clerk, shopper = as_staff("clerk-a"), as_shopper("one")
    card_no = shopper.get("/me").json["card_no"]
    token = clerk.post("/clerk/scans", {"code": card_no}, key=None).json["scan_token"]
    receipt = {"receipt_no": "R1", "amount_fen": 100}

    neither = clerk.post("/clerk/purchases", receipt)
    both = clerk.post("/clerk/purchases", {**receipt, "scan_token": token, "member_id": shopper.id})
    forged = clerk.post("/clerk/purchases", {**receipt, "scan_token": "x"})
    one = clerk.post("/clerk/purchases", {**receipt, "scan_token": token})

    assert refused(neither) == refused(both) == (400, "malformed")
    assert refused(forged) == (409, "scan_expired")
    assert one.status_code == 201


def test_a_moment_of_payment_has_an_offset_and_is_not_to_come(record):
    now = clock.now()
    wrong = [
        (now + timedelta(hours=1)).isoformat(),
        now.replace(tzinfo=None).isoformat(),
        now.date().isoformat(),
        "0001-01-01T00:00:00+14:00",
        "1899-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        "2026-02-30T00:00:00Z",
        "yesterday",
        "",
    ]
    right = ["1900-01-01T00:00:00Z", "2026-01-01T10:00:00+08:00", "2026-01-01T02:00:00Z"]

    refusals = [record(paid_at=moment) for moment in [*wrong, 1_700_000_000, None]]
    taken = [record(f"R{n}", paid_at=moment) for n, moment in enumerate(right)]

    assert [refused(answer) for answer in refusals] == [(400, "malformed")] * 11
    assert [answer.status_code for answer in taken] == [201, 201, 201]


def test_clocks_may_differ_by_a_few_minutes(record):
    soon = (clock.now() + timedelta(minutes=4)).isoformat()

    answer = record(paid_at=soon)

    assert answer.status_code == 201


@pytest.mark.covers("C7")
def test_an_account_holds_no_more_than_its_limit(record, a_member, grant_points):
    grant_points(record.shopper, 10**12 - 100)

    answer = record()

    assert refused(answer) == (409, "too_many_points")
    assert answer.json["limit"] == 10**12
    assert record(amount_fen=10_000).json["balance_after"] == 10**12
