"""The member code: ours to the last bit, good for half a minute or two, used up by one scan."""

import base64
import string
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, codes, jobs, keys
from mall.errors import CodeExpired, CodeInvalid, CodeUsed, NotFound
from models import Member, MemberCodeUse
from tests.mall.books import DAY, by_hand, count, one, rows
from tests.mall.together import together

BASE64 = string.ascii_letters + string.digits + "-_"


@pytest.fixture
def now(app):
    """The first moment of a half minute."""
    at = clock.now()
    return at.replace(second=0, microsecond=0)


@pytest.fixture
def a_code(a_member, now):
    """A fresh code of a fresh member, and the member."""

    def make(at=now):
        member = a_member()
        card_no = one(Member.card_no, Member.id == member)
        return codes.mint(card_no, now=at)[0], member

    return make


@pytest.fixture
def use(hired, now):
    def scan(code, *, at=now, who="clerk-a"):
        return codes.use(code, staff_id=hired[who], now=at)

    return scan


def signed(body):
    """A body with the tag it would have, were it ours."""
    return f"{body}.{keys.tag(codes.PURPOSE, 'k2', body.encode())}"


def resigned(code, place, value):
    """Our own code with one part changed and signed anew."""
    parts = code.split(".")[:-1]
    parts[place] = value
    return signed(".".join(parts))


@pytest.mark.covers("A2", "G1")
def test_a_code_names_its_member_once(a_code, use, hired, now):
    code, member = a_code()

    assert use(code) == member
    with pytest.raises(CodeUsed):
        use(code)

    columns = (MemberCodeUse.member_id, MemberCodeUse.staff_id, MemberCodeUse.used_at)
    assert rows(*columns) == [(member, hired["clerk-a"], now)]


@pytest.mark.covers("A2")
def test_a_code_is_good_in_its_half_minute_and_the_next(a_code, use, now):
    for seconds in (0, 29, 30, 59.9):
        code, member = a_code()
        assert use(code, at=now + timedelta(seconds=seconds)) == member
    for seconds in (60, 99, 86_400):
        with pytest.raises(CodeExpired):
            use(a_code()[0], at=now + timedelta(seconds=seconds))


def test_a_code_of_the_future_is_no_good_yet(a_code, use, now):
    code, _ = a_code(at=now + DAY)

    with pytest.raises(CodeExpired):
        use(code)


def test_who_shows_a_code_knows_when_to_fetch_the_next(app, now):
    assert codes.mint("880000000000", now=now)[1] == 30
    assert codes.mint("880000000000", now=now + timedelta(seconds=29))[1] == 1


def test_two_tills_at_once_use_a_code_once(app, a_code, use):
    code, member = a_code()

    outcomes = together(app, [lambda n=n: use(code, who=f"clerk-{'ab'[n % 2]}") for n in range(12)])

    assert sorted(str(type(each).__name__) for each in outcomes) == ["CodeUsed"] * 11 + ["int"]
    assert member in outcomes and count(MemberCodeUse) == 1


def test_each_card_shown_has_a_code_of_its_own(app, now):
    made = {codes.mint("880000000000", now=now)[0] for _ in range(100)}

    assert len(made) == 100


def test_no_character_of_a_code_can_be_another(a_code, use):
    code, _ = a_code()
    for place, right in enumerate(code):
        other = "A" if right != "A" else "B"
        with pytest.raises((CodeInvalid, CodeExpired)):
            use(code[:place] + other + code[place + 1 :])

    assert count(MemberCodeUse) == 0


def test_a_tag_has_one_spelling_only(a_code, use):
    """The last of 22 characters carries four bits that mean nothing."""
    code, member = a_code()
    twins = [
        code[:-1] + letter
        for letter in BASE64
        if base64.urlsafe_b64decode(code[-22:-1] + letter + "==")
        == base64.urlsafe_b64decode(code[-22:] + "==")
    ]

    assert len(twins) == 16 and code in twins
    for twin in set(twins) - {code}:
        with pytest.raises(CodeInvalid):
            use(twin)
    assert use(code) == member


@pytest.mark.parametrize(
    "spelling", ["{}=", "{}==", " {}", "{} ", "{}\n", "!{}", "{}A", "{}.", ".{}"]
)
def test_nothing_may_stand_around_a_code(a_code, use, spelling):
    code, _ = a_code()

    with pytest.raises(CodeInvalid):
        use(spelling.format(code))


@pytest.mark.parametrize(
    "text",
    ["", "M1", "M1.", "M1....", "M1.....", "M1.k2.88.1.a", "M1.k2.88.1.a.b.c", "M1.k2.88.1.a.零"],
)
def test_what_is_not_a_code_is_refused(app, use, text):
    with pytest.raises(CodeInvalid):
        use(text)


def test_a_code_under_another_key_is_refused(app, a_code, use, now, monkeypatch):
    code, _ = a_code()
    parts = code.split(".")
    for name in ("k1", "k9", ""):
        with pytest.raises(CodeInvalid):
            use(".".join([parts[0], name, *parts[2:]]))

    monkeypatch.setitem(app.config, "SECRET_KEYS", "k2:" + "x" * 32)
    with pytest.raises(CodeInvalid):
        use(code)


def test_a_code_outlives_the_turning_of_the_ring(app, a_code, use, monkeypatch):
    code, member = a_code()
    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k3:{'c' * 32},{app.config['SECRET_KEYS']}")

    assert use(code) == member
    assert a_code()[0].startswith("M1.k3.")


def test_a_tag_made_for_another_purpose_is_worth_nothing(a_code, use):
    code, _ = a_code()
    body = code.rpartition(".")[0]

    with pytest.raises(CodeInvalid):
        use(f"{body}.{keys.tag('another purpose', 'k2', body.encode())}")


def test_a_code_of_a_card_that_does_not_exist_is_not_found(a_code, use):
    code, _ = a_code()

    with pytest.raises(NotFound):
        use(resigned(code, 2, "880000000000"))


def test_what_we_signed_is_what_we_read(a_code, now):
    code, member = a_code()

    card_no, nonce = codes.read(code, now=now)

    assert card_no == one(Member.card_no, Member.id == member)
    assert len(base64.urlsafe_b64decode(nonce)) == codes.NONCE_BYTES
    assert signed(code.rpartition(".")[0]) == code


def test_codes_used_long_ago_are_forgotten(app, a_code, use, now):
    use(a_code()[0])
    codes.forget_uses(now=now + codes.USES_KEPT)
    assert count(MemberCodeUse) == 1

    app.config["CLOCK_OFFSET_S"] = 3 * 86_400
    jobs.prune()

    assert count(MemberCodeUse) == 0


def test_the_database_itself_refuses_a_nonce_twice(a_code, use, hired, now):
    code, member = a_code()
    use(code)
    row = {"nonce": one(MemberCodeUse.nonce), "member_id": member, "staff_id": hired["clerk-b"]}

    with pytest.raises(sa.exc.IntegrityError):
        by_hand(sa.insert(MemberCodeUse).values(**row, used_at=now))
