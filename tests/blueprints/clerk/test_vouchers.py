"""Hand over what a voucher stands for: once, at its store, before it expires."""

import pytest

from mall import vouchers
from mall.staff import WRONG_CODES


def use(clerk, code: str):
    return clerk.post(f"/clerk/vouchers/{code}/use")


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.fixture
def code(as_shopper, a_reward, redeem) -> str:
    return redeem(as_shopper("one"), a_reward(price_points=0, title="杯子"))["voucher"]["code"]


def wrong_code(n: int) -> str:
    """A code with a check character that fits, and nobody's."""
    body = f"{n:016d}"
    return body + vouchers._check_character(body)


@pytest.mark.covers("G3")
def test_a_voucher_is_used_and_says_what_to_hand_over(as_staff, code):
    answer = use(as_staff("clerk-a"), code)

    assert answer.status_code == 200
    assert set(answer.json) == {"voucher", "hand_over"}
    assert answer.json["hand_over"] == {"title": "杯子", "quantity": 1}
    voucher = answer.json["voucher"]
    assert (voucher["state"], voucher["used_store"], voucher["used_by"]) == (
        "used",
        "A店",
        "clerk-a",
    )
    assert "code" not in voucher


@pytest.mark.covers("G3")
def test_a_used_voucher_is_refused_with_store_clerk_and_time(as_staff, code):
    used = use(as_staff("clerk-a"), code).json["voucher"]

    answer = use(as_staff("clerk-b"), code)

    assert refused(answer) == (409, "voucher_used")
    told = {name: answer.json[name] for name in ("store", "clerk", "used_at")}
    assert told == {"store": "A店", "clerk": "clerk-a", "used_at": used["used_at"]}
    assert all(part in answer.json["detail"] for part in told.values())


@pytest.mark.covers("G3", "E14")
def test_a_use_shows_in_the_redemption(as_shopper, as_staff, code):
    use(as_staff("clerk-a"), code)

    (seen,) = as_shopper("one").get("/me/redemptions").json["items"]

    assert (seen["state"], seen["voucher"]["state"]) == ("used", "used")


def test_a_code_may_be_typed_with_lookalikes_blanks_and_in_lower_case(as_staff, as_shopper, code):
    typed = code.lower().replace("0", "o").replace("1", "l").replace("-", "%20")

    answer = use(as_staff("clerk-a"), typed)

    assert answer.status_code == 200


@pytest.mark.covers("K9")
def test_a_voucher_of_another_store_is_not_there(as_shopper, as_staff, a_reward, redeem, stores):
    redeemed = redeem(as_shopper("one"), a_reward(price_points=0), store_id=stores["A"])

    at_b, at_a = (use(as_staff(n), redeemed["voucher"]["code"]) for n in ("clerk-b", "clerk-a"))

    assert refused(at_b) == (404, "not_found")
    assert at_a.status_code == 200


def test_an_expired_voucher_is_refused_with_its_end(app, as_shopper, as_staff, a_reward, redeem):
    voucher = redeem(as_shopper("one"), a_reward(price_points=0, voucher_lasts_days=1))["voucher"]
    app.config["CLOCK_OFFSET_S"] = 3 * 86_400

    answer = use(as_staff("clerk-a"), voucher["code"])

    assert refused(answer) == (409, "voucher_expired")
    assert answer.json["expires_at"] == voucher["expires_at"]


def test_what_is_no_code_is_not_found(as_staff):
    texts = ["x", "%00", "%F0%9F%8E%81", "0" * 17, "0" * 5000]

    answers = [use(as_staff("clerk-a"), text) for text in texts]

    assert [refused(answer) for answer in answers] == [(404, "not_found")] * len(texts)


def test_ten_wrong_codes_lock_this_clerk_and_no_other_for_a_while(app, as_staff, code):
    guesser, other = as_staff("clerk-a"), as_staff("clerk-b")
    guesses = [refused(use(guesser, wrong_code(n))) for n in range(WRONG_CODES)]

    locked = [use(guesser, code), guesser.post("/clerk/scans", {"code": code}, key=None)]
    app.config["CLOCK_OFFSET_S"] = 601
    later = guesser.post("/clerk/scans", {"code": code}, key=None)

    assert guesses == [(404, "not_found")] * WRONG_CODES
    assert {refused(answer) for answer in locked} == {(429, "voucher_guessing")}
    assert {answer.headers["Retry-After"] for answer in locked} == {"600"}
    assert later.status_code == 200
    assert use(other, code).status_code == 200
