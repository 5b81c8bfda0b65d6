"""Vouchers: a code that can't be guessed or mistyped, shown once, good for one hand-over."""

import re

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, keys, redemptions, staff, vouchers
from mall.errors import NotFound, VoucherExpired, VoucherLocked, VoucherUsed
from mall.idempotency import Answer, Replayed
from models import Event, Failure, Redemption, Voucher, db
from tests.makers import a_key
from tests.mall.books import DAY, MOMENT, ask, by_hand, clerk, count, one, rows, said, wrong
from tests.mall.together import together

RIGHT = vouchers.ALPHABET


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def a_code(a_member, a_reward, now):
    """A fresh voucher's code as its owner sees it."""
    reward = a_reward(units=90, price_points=1, title="茶杯").id

    def make(**more):
        redemptions.redeem(ask(a_member(points=9), reward, **more), now=now)
        return vouchers.code_of(db.session.get(Voucher, one(sa.func.max(Voucher.id))))

    return make


@pytest.fixture
def use(hired, now):
    """Hand over what a code stands for, at a till of store A unless told otherwise."""

    def hand_over(code, who="clerk-a", *, key=None, at=now):
        key = key or a_key(None, None)
        return vouchers.use(code, clerk=clerk(hired[who]), key=key, now=at)

    return hand_over


def letters(code):
    return code.replace("-", "")


# the code


def test_a_code_is_four_groups_of_four_and_a_check_character(a_code):
    assert re.fullmatch(rf"([{RIGHT}]{{4}}-){{4}}[{RIGHT}]", a_code())


def test_no_two_codes_are_alike_and_each_character_is_as_likely(app):
    """PEERS 20: eight digits without uniqueness collide and can be guessed."""
    codes = [vouchers._derive(f"{n:032x}", "k2") for n in range(2000)]

    assert len(set(codes)) == 2000
    for place in range(vouchers.CODE_CHARACTERS):
        assert {code[place] for code in codes} == set(RIGHT), "all 32 at each place: 80 bits"


def test_the_database_itself_refuses_a_second_voucher_of_one_code(a_code):
    a_code(), a_code()

    with pytest.raises(IntegrityError):
        by_hand(sa.update(Voucher).values(code_hmac="same"))


def test_any_single_wrong_character_is_seen_except_zero_for_z(app):
    code = vouchers._derive("a nonce", "k2")
    unseen = set()
    for place, right in enumerate(code):
        for letter in set(RIGHT) - {right}:
            if vouchers.plain(code[:place] + letter + code[place + 1 :]):
                unseen.add(frozenset((right, letter)))

    assert unseen <= {frozenset("0Z")}


@pytest.mark.parametrize("number", range(20))
def test_any_two_neighbours_swapped_are_seen_except_zero_and_z(app, number):
    code = vouchers._derive(f"nonce {number}", "k2")
    for place in range(len(code) - 1):
        one_of, other = code[place], code[place + 1]
        swapped = code[:place] + other + one_of + code[place + 2 :]
        if one_of != other and {one_of, other} != {"0", "Z"}:
            assert vouchers.plain(swapped) is None, (code, place)


def test_a_code_is_read_however_it_is_typed(app):
    code = next(
        each
        for each in (vouchers._derive(f"nonce {n}", "k2") for n in range(999))
        if "0" in each and "1" in each
    )

    for typed in (
        code.lower(),
        " ".join(code),
        f" {code[:4]}-{code[4:]} ",
        code.replace("0", "O"),
        code.replace("0", "o"),
        code.replace("1", "I"),
        code.replace("1", "l"),
    ):
        assert vouchers.plain(typed) == code


@pytest.mark.parametrize("text", ["", "0", "U" * 17, "0" * 16, "0" * 18, "零" * 17, "٠" * 17])
def test_what_can_not_be_a_code_is_none(app, text):
    assert vouchers.plain(text) is None


def test_the_code_is_kept_in_no_table(a_code):
    code = a_code()

    for table in db.metadata.sorted_tables:
        for row in db.session.execute(sa.select(table)):
            kept = repr(tuple(row)).upper()
            assert code not in kept and letters(code) not in kept, table.name


def test_a_code_says_nothing_about_its_look_up_key(a_code):
    code = letters(a_code())

    assert one(Voucher.code_hmac) == vouchers._look_up_hmac(code, "k2")
    assert one(Voucher.code_hmac) != keys.digest("voucher code", "k2", code.encode()).hex()


def test_a_code_outlives_the_turning_of_the_ring(app, a_code, use, monkeypatch):
    old = a_code()
    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k3:{'c' * 32},{app.config['SECRET_KEYS']}")
    new = a_code()

    assert [name for (name,) in rows(Voucher.key_name, order=Voucher.id)] == ["k2", "k3"]
    assert {use(code).status for code in (old, new)} == {200}


def test_a_stored_answer_shows_its_code_to_its_owner_only(a_code):
    code = a_code()
    ((name, nonce),) = rows(Voucher.key_name, Voucher.nonce)
    body = f'{{"code":"{vouchers.placeholder(name, nonce)}"}}'.encode()

    assert code.encode() not in body
    assert vouchers.reveal(body) == f'{{"code":"{code}"}}'.encode()
    assert vouchers.reveal(b'{"code":null}') == b'{"code":null}'


# using it


@pytest.mark.covers("G3", "E14")
def test_what_was_handed_over_says_where_when_and_by_whom(a_code, use, hired, stores, now):
    answer = use(a_code())

    assert said(answer)["hand_over"] == {"title": "茶杯", "quantity": 1}
    assert said(answer)["voucher"] | {"id": 0, "redemption_id": 0, "expires_at": ""} == {
        "id": 0,
        "title": "茶杯",
        "quantity": 1,
        "state": "used",
        "expires_at": "",
        "redemption_id": 0,
        "store": None,
        "used_at": clock.rfc3339(now),
        "used_store": "A店",
        "used_by": "clerk-a",
    }
    assert one(Redemption.state) == "used"
    told = rows(Event.payload, where=[Event.kind == "voucher_used"])
    assert told == [({"voucher_id": one(Voucher.id), "store_id": stores["A"]},)]
    assert rows(Voucher.used_store_id, Voucher.used_staff_id) == [(stores["A"], hired["clerk-a"])]
    assert wrong() == []


@pytest.mark.covers("G3")
def test_two_tills_at_once_hand_over_once_and_the_other_sees_who(app, a_code, use):
    """PEERS 12, 25, 37: a coupon whose state is read, then written, is verified twice."""
    code = a_code()

    outcomes = together(
        app, [lambda n=n: use(code, ("clerk-a", "clerk-b")[n % 2]) for n in range(20)]
    )

    (winner,) = [each for each in outcomes if isinstance(each, Answer)]
    losers = [each for each in outcomes if isinstance(each, VoucherUsed)]
    used = said(winner)["voucher"]
    assert len(losers) == 19
    assert {tuple(sorted(each.details.items())) for each in losers} == {
        (("clerk", used["used_by"]), ("store", used["used_store"]), ("used_at", used["used_at"]))
    }
    assert used["used_by"] in losers[0].sentence() and used["used_store"] in losers[0].sentence()
    assert count(Event, Event.kind == "voucher_used") == 1 and wrong() == []


def test_a_till_that_lost_the_answer_is_told_it_again(a_code, use):
    code, key = a_code(), a_key(route="POST /clerk/vouchers/use")
    first = use(code, key=key)

    with pytest.raises(Replayed) as twin:
        use(code, key=key)

    assert twin.value.answer.body == first.body


@pytest.mark.covers("K9")
def test_another_stores_voucher_is_not_found_there(a_code, use, stores):
    """PEERS 12: a verifier of any store could finish any store's pickup."""
    code = a_code(store_id=stores["B"])

    with pytest.raises(NotFound):
        use(code, "clerk-a")

    assert one(Voucher.state) == "issued"
    assert said(use(code, "clerk-b"))["voucher"]["store"] == "B店"


def test_a_voucher_is_good_to_the_end_of_its_last_day(a_code, use, now):
    """PEERS 25: an end parsed from the code itself never came."""
    code = a_code()
    end = one(Voucher.expires_at)
    assert end == clock.end_of_day(clock.business_day(now + 30 * DAY))

    with pytest.raises(VoucherExpired) as refusal:
        use(code, at=end)

    assert refusal.value.details == {"expires_at": clock.rfc3339(end)}
    assert one(Voucher.state) == "issued" and one(Redemption.state) == "issued"
    assert use(code, at=end - MOMENT).status == 200


@pytest.mark.covers("E14")
def test_what_is_past_its_end_is_shown_as_expired_and_not_as_usable(a_code, a_member, now):
    a_code()
    voucher = db.session.get(Voucher, one(Voucher.id))
    end = voucher.expires_at

    assert vouchers.view(voucher, now=end - MOMENT)["state"] == "issued"
    assert vouchers.view(voucher, now=end)["state"] == "expired"
    usable = vouchers.usable(voucher.member_id, now=end - MOMENT)
    assert db.session.scalars(usable).all() == [voucher]
    assert db.session.scalars(vouchers.usable(voucher.member_id, now=end)).all() == []


def test_the_database_itself_refuses_a_used_voucher_without_its_moment(a_code):
    a_code()

    with pytest.raises(IntegrityError):
        by_hand(sa.update(Voucher).values(state="used"))


# guessing


def guess(use, times, who="clerk-a", at=None):
    for number in range(times):
        wrong_code = vouchers._derive(f"guess {number}", "k2")
        with pytest.raises(NotFound):
            use(wrong_code, who, **({"at": at} if at else {}))


def test_ten_wrong_codes_lock_a_clerk_out_for_ten_minutes(a_code, use, now):
    code = a_code()
    guess(use, 10)

    for at in (now, now + staff.CODE_WINDOW - MOMENT):
        with pytest.raises(VoucherLocked) as refusal:
            use(code, at=at)
        assert refusal.value.retry_after_s == 600
    assert use(code, at=now + staff.CODE_WINDOW).status == 200


def test_nine_wrong_codes_do_not_lock_and_nobody_else_is_locked(a_code, use):
    code, other = a_code(), a_code()
    guess(use, 9)
    assert use(code).status == 200

    guess(use, 1)
    with pytest.raises(VoucherLocked):
        use(other)

    assert use(other, "clerk-b").status == 200


def test_a_code_that_is_none_and_one_of_another_store_count_as_wrong(a_code, use, stores):
    code = a_code(store_id=stores["B"])
    for text in (code, "nonsense"):
        with pytest.raises(NotFound):
            use(text)

    assert count(Failure, Failure.kind == "voucher") == 2
