"""A code at a till becomes a member's summary or a voucher's face."""

import pytest

from mall import clock, codes

MEMBER = {"id", "nickname", "phone_masked", "tier", "points", "usable_vouchers"}


def scan(clerk, code: str):
    return clerk.post("/clerk/scans", {"code": code}, key=None)


def payload(shopper) -> str:
    return shopper.get("/me/card").json["code"]["payload"]


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("G1", "A2")
def test_a_member_code_shows_who_it_is(as_shopper, as_staff, grant_points, a_reward, redeem):
    shopper = as_shopper("one")
    shopper.patch("/me", {"nickname": "小明"})
    grant_points(shopper, 300)
    redeem(shopper, a_reward(price_points=100, title="杯子"), quantity=2)

    answer = scan(as_staff("clerk-a"), payload(shopper))

    assert answer.status_code == 200
    assert set(answer.json) == {"kind", "member", "scan_token", "voucher"}
    assert (answer.json["kind"], answer.json["voucher"]) == ("member", None)
    member = answer.json["member"]
    assert set(member) == MEMBER
    assert (member["id"], member["nickname"], member["points"]) == (shopper.id, "小明", 100)
    assert member["tier"] == {"code": "base", "name": "普通会员"}
    assert [(v["title"], v["quantity"]) for v in member["usable_vouchers"]] == [("杯子", 2)]


@pytest.mark.covers("G1")
def test_a_card_number_will_do_as_often_as_it_is_typed(as_shopper, as_staff):
    shopper, clerk = as_shopper("one"), as_staff("clerk-a")
    card_no = shopper.get("/me").json["card_no"]

    answers = [scan(clerk, card_no) for _ in range(2)]

    assert [answer.json["member"]["id"] for answer in answers] == [shopper.id, shopper.id]


def test_a_card_number_that_is_nobodys_is_not_found(as_staff):
    answer = scan(as_staff("clerk-a"), "888800000000")

    assert refused(answer) == (404, "not_found")


@pytest.mark.covers("A2")
def test_a_code_is_good_for_one_scan(as_shopper, as_staff):
    code = payload(as_shopper("one"))
    scan(as_staff("clerk-a"), code)

    answers = [scan(as_staff(name), code) for name in ("clerk-a", "clerk-b")]

    assert {refused(answer) for answer in answers} == {(409, "code_used")}


@pytest.mark.covers("A2")
def test_a_code_of_a_minute_ago_has_expired(app, as_shopper, as_staff):
    clerk, code = as_staff("clerk-a"), payload(as_shopper("one"))
    app.config["CLOCK_OFFSET_S"] = 61

    answer = scan(clerk, code)

    assert refused(answer) == (409, "code_expired")


@pytest.mark.covers("A2")
def test_a_code_of_the_half_minute_before_is_still_good(app, as_shopper, as_staff):
    clerk, shopper = as_staff("clerk-a"), as_shopper("one")
    into_step = int(clock.now().timestamp()) % codes.STEP_S
    app.config["CLOCK_OFFSET_S"] = codes.STEP_S - into_step  # the start of a half minute
    code = payload(shopper)
    app.config["CLOCK_OFFSET_S"] += codes.STEP_S

    answer = scan(clerk, code)

    assert answer.status_code == 200


@pytest.mark.covers("A2", "G1")
def test_what_is_not_ours_or_was_changed_is_no_code(app, as_shopper, as_staff):
    clerk, code = as_staff("clerk-a"), payload(as_shopper("one"))
    prefix, name, card_no, step, nonce, tag = code.split(".")
    other = "888800000000" if card_no != "888800000000" else "888800000001"
    forged = [
        f"{prefix}.{name}.{other}.{step}.{nonce}.{tag}",
        f"{prefix}.{name}.{card_no}.{int(step) + 1}.{nonce}.{tag}",
        f"{prefix}.k1.{card_no}.{step}.{nonce}.{tag}",
        f"{prefix}.k9.{card_no}.{step}.{nonce}.{tag}",
        f"{prefix}.{name}.{card_no}.{step}.{nonce}.",
        f"{prefix}.{name}.{card_no}.{step}.{nonce}.{'é' * 22}",
        f"{code}=",
        code[:-1] + ("A" if code[-1] != "A" else "Q"),
        f"{prefix}.",
        "https://example.com/",
        "12345",
        "1234-5678-9ABC-DEFG-H",
        "ß" * 17,
    ]

    answers = {text: scan(clerk, text) for text in forged}

    assert {text: refused(a) for text, a in answers.items()} == dict.fromkeys(
        forged, (400, "code_invalid")
    )


@pytest.mark.covers("G1")
def test_a_code_of_another_shop_is_no_code_of_ours(app, as_shopper, as_staff):
    clerk, card_no = as_staff("clerk-a"), as_shopper("one").get("/me").json["card_no"]
    ring = app.config["SECRET_KEYS"]
    app.config["SECRET_KEYS"] = "k2:" + "x" * 32
    theirs, _ = codes.mint(card_no, now=clock.now())
    app.config["SECRET_KEYS"] = ring

    answer = scan(clerk, theirs)

    assert refused(answer) == (400, "code_invalid")


@pytest.mark.covers("G3")
def test_a_voucher_code_shows_the_voucher_and_uses_nothing_up(
    as_shopper, as_staff, a_reward, redeem
):
    shopper, clerk = as_shopper("one"), as_staff("clerk-a")
    code = redeem(shopper, a_reward(price_points=0, title="杯子"))["voucher"]["code"]

    answers = [scan(clerk, spelt) for spelt in (code, code.lower(), code.replace("-", ""))]

    assert {(a.json["kind"], a.json["member"], a.json["scan_token"]) for a in answers} == {
        ("voucher", None, None)
    }
    assert [a.json["voucher"]["state"] for a in answers] == ["issued"] * 3
    assert answers[0].json["voucher"]["title"] == "杯子"
    assert "code" not in answers[0].json["voucher"]


@pytest.mark.covers("K9")
def test_a_voucher_of_another_store_is_not_there(as_shopper, as_staff, a_reward, redeem, stores):
    redeemed = redeem(as_shopper("one"), a_reward(price_points=0), store_id=stores["A"])
    code = redeemed["voucher"]["code"]

    at_a, at_b = (scan(as_staff(name), code) for name in ("clerk-a", "clerk-b"))

    assert (at_a.status_code, refused(at_b)) == (200, (404, "not_found"))


def test_a_scan_stands_for_the_member_for_this_clerk_and_ten_minutes(app, as_shopper, as_staff):
    shopper, one, two = as_shopper("one"), as_staff("clerk-a"), as_staff("manager-a")
    token = scan(one, payload(shopper)).json["scan_token"]
    receipts = ({"scan_token": token, "receipt_no": f"R{n}", "amount_fen": 100} for n in range(9))

    again = [one.post("/clerk/purchases", next(receipts)) for _ in range(2)]
    anothers = two.post("/clerk/purchases", next(receipts))
    app.config["CLOCK_OFFSET_S"] = 601
    late = one.post("/clerk/purchases", next(receipts))

    assert [answer.status_code for answer in again] == [201, 201]
    assert refused(anothers) == refused(late) == (409, "scan_expired")
