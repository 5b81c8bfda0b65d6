"""Phone numbers: sealed where they stand, found all the same, shown by their ends."""

import pytest
import sqlalchemy as sa

from mall import keys, merges, phones
from models import Member
from tests.makers import a_key
from tests.mall.books import by_hand, numbers, one, rows

NUMBER = "13812345678"
OLD, NEW = "old:an-old-secret-of-32-characters-x", "new:a-new-secret-of-32-characters-xx"


@pytest.fixture
def turn(app, monkeypatch):
    """Give the shop another ring."""
    return lambda ring: monkeypatch.setitem(app.config, "SECRET_KEYS", ring)


@pytest.fixture
def in_the_clear(a_member):
    """A member whose number a version before sealing wrote."""

    def make(number):
        member = a_member()
        plain = {"phone": number, "phone_tail": number[-4:]}
        by_hand(sa.update(Member).where(Member.id == member).values(**plain))
        return member

    return make


@pytest.mark.covers("K7")
def test_a_number_stands_nowhere_in_the_clear(a_member):
    a_member(phone=NUMBER)

    (row,) = rows(*Member.__table__.columns)

    assert NUMBER not in repr(row) and NUMBER.encode() not in one(Member.phone_sealed)
    assert one(Member.phone_tail) == "5678" and numbers() == [NUMBER]


def test_the_same_number_is_sealed_otherwise_each_time_and_found_by_one_hash(app):
    first, second = phones.columns(NUMBER), phones.columns(NUMBER)

    assert first["phone_sealed"] != second["phone_sealed"]
    assert first["phone_hash"] == second["phone_hash"] == phones.look_up(NUMBER)
    assert phones.columns(f"86{NUMBER}")["phone_match"] == first["phone_match"]


def test_a_hash_is_worth_nothing_without_the_ring(app, turn):
    here = phones.look_up(NUMBER)
    turn(OLD)

    assert phones.look_up(NUMBER) != here


def test_what_an_older_version_wrote_is_sealed_once(in_the_clear, a_member):
    in_the_clear(NUMBER)
    a_member(phone="13900000000")

    assert numbers() == [NUMBER, "13900000000"]
    assert (phones.seal_all(), phones.seal_all()) == (1, 0)

    assert numbers() == [NUMBER, "13900000000"] and rows(Member.phone) == [(None,), (None,)]


def test_a_number_two_have_is_left_to_people_and_the_others_are_sealed(in_the_clear, a_member):
    a_member(phone=NUMBER)
    in_the_clear(NUMBER)
    in_the_clear("13900000000")

    assert phones.seal_all() == 1
    assert rows(Member.phone) == [(None,), (NUMBER,), (None,)]


def test_an_older_versions_number_is_found_and_refused_to_another(in_the_clear, a_member, app):
    from mall import clock
    from mall.errors import PhoneTaken

    in_the_clear(NUMBER)
    other = a_member()

    with pytest.raises(PhoneTaken):
        merges.bind_phone(other, NUMBER, key=a_key(other, None), now=clock.now())


def test_a_ring_is_turned_without_losing_a_number(a_member, turn):
    turn(OLD)
    a_member(phone=NUMBER)
    turn(f"{NEW},{OLD}")
    assert numbers() == [NUMBER] and one(Member.phone_hash) == phones.look_up(NUMBER)

    assert phones.seal_all(everything=True) == 1

    assert one(Member.phone_sealed).startswith(b"new.")
    turn(NEW)
    assert numbers() == [NUMBER]


@pytest.mark.parametrize(("sought", "found"), [("5678", 2), ("45678", 1), (NUMBER, 1), ("0000", 0)])
def test_members_are_found_by_the_end_of_their_number(a_member, as_staff, sought, found):
    a_member(phone=NUMBER)
    a_member(phone="13900005678")

    items = as_staff("admin").get(f"/admin/members?q={sought}").json["items"]

    assert len(items) == found and all("****5678" in each["phone_masked"] for each in items)


def test_a_number_whose_key_is_lost_is_shown_as_none(a_member, turn):
    a_member(phone=NUMBER)
    turn(NEW)

    assert numbers() == [None]
    assert keys.unseal(phones.PURPOSE, b"nonsense") is None


@pytest.mark.covers("K7")
def test_a_whole_number_is_shown_for_a_reason_and_who_looked_is_noted(a_member, as_staff, hired):
    path = f"/admin/members/{a_member(phone=NUMBER)}/phone-views"

    shown = as_staff("admin").post(path, {"reason": "回访"}).json

    assert shown["phone"] == NUMBER
    (noted,) = as_staff("owner").get("/admin/audit").json["items"]
    assert (noted["action"], noted["actor"]) == ("member.view_phone", f"staff:{hired['admin']}")
    assert noted["after"] == {"id": shown["id"], "phone": "138****5678", "reason": "回访"}
    nobody = as_staff("admin").post("/admin/members/999/phone-views", {"reason": "x"})
    assert nobody.status_code == 404
