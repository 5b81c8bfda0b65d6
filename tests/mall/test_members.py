"""Members: joining once, a card number that knows a typing error, a profile that keeps its rules."""

from datetime import date
from itertools import count as counting

import pytest
from sqlalchemy.exc import IntegrityError

from mall import clock, members, merges, phones, profiles, tiers
from mall.errors import BirthdayFixed, NotFound, PhoneTaken
from mall.idempotency import Replayed
from models import Account, Event, Member, db
from tests.makers import a_key
from tests.mall.books import count, numbers, one, rows, said
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


def join(*people, now):
    return members.join_many(list(people), tier_code=tiers.BASE, now=now)


def visitor(name, **more):
    return {"appid": "wx", "openid": name, "unionid": None, **more}


# joining


@pytest.mark.covers("A1")
def test_a_newcomer_gets_a_card_an_invite_code_and_an_account(now):
    ((name, member),) = join(visitor("o-1"), now=now).items()

    assert name == ("wx", "o-1")
    assert rows(Account.member_id, Account.balance_points, Account.tier_code, Account.state) == [
        (member, 0, "base", "open")
    ]
    assert members.looks_like_card_no(one(Member.card_no))
    assert len(one(Member.invite_code)) == 8
    assert one(Member.joined_at) == now
    assert rows(Event.kind, Event.member_id) == [("joined", member)]


@pytest.mark.covers("A1")
def test_who_is_a_member_already_is_left_out(now):
    join(visitor("o-1"), now=now)

    assert list(join(visitor("o-1"), visitor("o-2"), now=now)) == [("wx", "o-2")]
    assert join(visitor("o-1"), now=now) == {}
    assert count(Member) == count(Account) == 2


def test_the_same_openid_of_another_program_is_somebody_else(now):
    join(visitor("o-1"), now=now)

    assert len(join({**visitor("o-1"), "appid": "wy"}, now=now)) == 1


def test_twenty_at_once_join_once(app, now):
    outcomes = together(app, [lambda: join(visitor("o-1"), now=now)] * 20)

    assert sum(len(each) for each in outcomes) == 1
    assert count(Member) == count(Account) == count(Event) == 1


def test_a_card_number_that_is_taken_is_drawn_again(now, monkeypatch):
    drawn = iter(["880000000000", "880000000000", "880000000000", "880000000018"])
    monkeypatch.setattr(members, "_new_card_no", lambda: next(drawn))
    join(visitor("o-1"), now=now)

    join(visitor("o-2"), now=now)

    assert [card for (card,) in rows(Member.card_no, order=Member.id)] == [
        "880000000000",
        "880000000018",
    ]


def test_drawing_ends_where_every_number_is_taken(now, monkeypatch):
    tries = counting()
    monkeypatch.setattr(members, "_new_card_no", lambda: (next(tries), "880000000000")[1])
    join(visitor("o-1"), now=now)

    assert join(visitor("o-2"), now=now) == {}
    assert next(tries) == 1 + members.JOIN_TRIES


# numbers and codes


@pytest.mark.parametrize(
    ("body", "digit"),
    [("7992739871", 3), ("0", 0), ("88000000000", 5), ("1", 8), ("37828224631000", 5)],
)
def test_the_check_digit_is_luhns(body, digit):
    assert members.luhn(body) == digit


def test_a_card_number_tells_any_digit_that_is_wrong():
    card = members._new_card_no()

    assert card.startswith("88") and members.luhn(card[:-1]) == int(card[-1])
    for place in range(len(card)):
        for digit in set("0123456789") - {card[place]}:
            wrong = card[:place] + digit + card[place + 1 :]
            assert members.luhn(wrong[:-1]) != int(wrong[-1])


@pytest.mark.parametrize(
    "text", ["", "88000000000", "8800000000000", "88000000000x", "８８００００００００００"]
)
def test_what_is_not_twelve_digits_is_no_card_number(text):
    assert not members.looks_like_card_no(text)


def test_an_invite_code_has_no_letters_that_look_alike():
    code = "".join(members._new_invite_code() for _ in range(200))

    assert not set(code) & set("01OIL") and set(code) == set(members.INVITE_ALPHABET)


@pytest.mark.parametrize(
    ("phone", "shown"),
    [(None, None), ("13812345678", "138****5678"), ("12345", "****45"), ("0211234567", "****67")],
)
def test_a_phone_number_is_shown_by_its_ends_only(phone, shown):
    assert phones.mask(phone) == shown


@pytest.mark.parametrize(("nickname", "shown"), [("", "**"), ("小满", "小**"), ("😀x", "😀**")])
def test_a_friends_name_is_shown_by_its_first_character(nickname, shown):
    assert members.mask_nickname(nickname) == shown


# the profile


def test_a_profile_says_how_complete_it_is(a_member):
    blank, half = a_member(), a_member(nickname="小满", gender="female")
    full = a_member(
        nickname="a",
        gender="male",
        city="上海",
        phone="1",
        birthday=date(1990, 1, 1),
    )

    shown = [profiles.view(members.find(each)) for each in (blank, half, full)]

    assert [each["completeness_percent"] for each in shown] == [0, 40, 100]
    assert shown[2]["birthday"] == "1990-01-01" and shown[0]["birthday"] is None


def test_nobodys_profile_is_not_found(app):
    with pytest.raises(NotFound):
        members.find(404)
    with pytest.raises(NotFound):
        profiles.change(404, {"nickname": "x"}, now=clock.now())


def test_a_birthday_is_set_once(a_member):
    member, day = a_member(), date(1990, 1, 1)
    profiles.change(member, {"birthday": day, "nickname": "小满"}, now=clock.now())

    for other in (date(1990, 1, 2), None):
        with pytest.raises(BirthdayFixed):
            profiles.change(member, {"birthday": other, "nickname": "changed"}, now=clock.now())
    profiles.change(member, {"birthday": day, "city": "上海"}, now=clock.now())

    assert rows(Member.birthday, Member.nickname, Member.city) == [(day, "小满", "上海")]


def test_two_birthdays_at_once_are_one(app, a_member):
    member = a_member()
    days = [date(1990, 1, n) for n in range(1, 9)]

    outcomes = together(
        app,
        [lambda d=d: profiles.change(member, {"birthday": d}, now=clock.now()).id for d in days],
    )

    assert outcomes.count(member) == 1
    assert sum(isinstance(each, BirthdayFixed) for each in outcomes) == 7


# phones


def bind(member, phone, now, key=None):
    return merges.bind_phone(member, phone, key=key or a_key(member, None), now=now)


def test_a_phone_belongs_to_one_member(a_member, now):
    """PEERS 32: registering twice with one phone."""
    member, other = a_member(), a_member()
    assert said(bind(member, "13812345678", now)) == {"phone_masked": "138****5678"}

    with pytest.raises(PhoneTaken):
        bind(other, "13812345678", now)
    bind(member, "13812345678", now)

    assert numbers() == ["13812345678", None]


def test_a_phone_given_up_for_another_is_free_again(a_member, now):
    member, other = a_member(), a_member()
    bind(member, "13811111111", now)
    bind(member, "13822222222", now)

    assert bind(other, "13811111111", now).status == 200


def test_two_members_at_once_get_one_phone_once(app, a_member, now):
    members_ = [a_member() for _ in range(8)]

    outcomes = together(app, [lambda m=m: bind(m, "13812345678", now) for m in members_])

    assert sorted(type(each).__name__ for each in outcomes) == ["Answer"] + ["PhoneTaken"] * 7
    assert sorted(numbers(), key=str) == ["13812345678"] + [None] * 7


def test_binding_told_twice_is_done_once(a_member, now):
    member, key = a_member(), a_key(route="POST /me/phone")
    bind(member, "13812345678", now, key)

    with pytest.raises(Replayed):
        bind(member, "13812345678", now, key)


def test_the_database_itself_refuses_a_second_holder_of_a_phone(a_member):
    a_member(phone="1")

    with pytest.raises(IntegrityError):
        db.session.execute(
            Member.__table__.insert().values(
                card_no="x",
                invite_code="x",
                phone_hash=phones.look_up("1"),
                nickname="",
                gender="male",
                city="",
                joined_at=clock.now(),
            )
        )
    db.session.rollback()
