"""Staff: passwords that are hashed, sessions that are not kept in the clear, guesses that run out."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, staff
from mall.errors import LoginRefused, NameTaken, TooManyLogins, Unauthenticated
from mall.idempotency import Replayed
from models import Failure, IdempotencyKey, Staff, StaffSession
from tests.conftest import PASSWORD
from tests.makers import a_key
from tests.mall.books import MOMENT, by_hand, count, one, rows, said
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def log_in(hired, now):
    def as_(username, password=PASSWORD, *, at=now, key=None):
        key = key or a_key(None, None)
        return staff.log_in(username=username, password=password, key=key, now=at)

    return as_


def test_a_log_in_opens_a_session_for_half_a_day(log_in, hired, now, stores):
    answer = said(log_in("clerk-a"))
    token = answer["access_token"]

    assert answer == {
        "access_token": token,
        "expires_in_s": 43_200,
        "role": "clerk",
        "store": {"id": stores["A"], "code": "A", "name": "A店"},
    }
    until = now + staff.SESSION_LASTS
    assert staff.of_token(token, now=until - MOMENT).id == hired["clerk-a"]
    with pytest.raises(Unauthenticated):
        staff.of_token(token, now=until)


def test_who_runs_the_mall_has_no_store(log_in):
    assert said(log_in("admin"))["store"] is None


def test_a_token_is_kept_as_a_hash_only(log_in):
    token = said(log_in("admin"))["access_token"]

    (row,) = rows(*StaffSession.__table__.columns)
    assert token not in repr(row) and len(token) == 43
    assert PASSWORD not in repr(rows(Staff.password_hash))
    assert all(kept.startswith("$argon2id$") for (kept,) in rows(Staff.password_hash))


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("admin", "wrong"),
        ("admin", ""),
        ("nobody", PASSWORD),
        ("ADMIN", PASSWORD),
        ("clerk-a", PASSWORD + " "),
    ],
)
def test_a_wrong_name_or_password_is_refused_alike(log_in, username, password):
    with pytest.raises(LoginRefused):
        log_in(username, password)

    assert count(StaffSession) == 0 and count(Failure) == 1


def test_who_has_left_is_refused_and_his_session_is_over(log_in, hired, now):
    token = said(log_in("clerk-a"))["access_token"]
    by_hand(sa.update(Staff).where(Staff.id == hired["clerk-a"]).values(active=False))

    with pytest.raises(Unauthenticated):
        staff.of_token(token, now=now)
    with pytest.raises(LoginRefused):
        log_in("clerk-a")


@pytest.mark.parametrize("token", ["", "x", "0" * 43])
def test_what_was_never_a_token_is_none(app, now, token):
    with pytest.raises(Unauthenticated):
        staff.of_token(token, now=now)


def test_five_wrong_passwords_close_the_door_until_the_first_is_old(log_in, now):
    for minute in range(5):
        with pytest.raises(LoginRefused):
            log_in("admin", "wrong", at=now + timedelta(minutes=minute))

    with pytest.raises(TooManyLogins) as refusal:
        log_in("admin", at=now + timedelta(minutes=5))
    assert refusal.value.details == {"minutes": 10} and refusal.value.retry_after_s == 600
    with pytest.raises(TooManyLogins):
        log_in("Admin", "wrong", at=now + timedelta(minutes=15) - MOMENT)
    assert log_in("admin", at=now + timedelta(minutes=15)).status == 200


def test_four_wrong_passwords_do_not_and_others_are_not_kept_out(log_in):
    for _ in range(4):
        with pytest.raises(LoginRefused):
            log_in("admin", "wrong")
    assert log_in("admin").status == 200
    with pytest.raises(LoginRefused):
        log_in("admin", "wrong")

    with pytest.raises(TooManyLogins):
        log_in("admin")
    assert log_in("owner").status == 200


def test_a_log_in_told_twice_gives_one_session_whose_token_can_not_be_read(log_in):
    key = replace(a_key(route="POST /auth/staff"), sealed=True)
    token = said(log_in("admin", key=key))["access_token"]
    with pytest.raises(Replayed) as twin:
        log_in("admin", key=key)

    assert said(twin.value.answer)["access_token"] == token and count(StaffSession) == 1
    assert token.encode() not in bytes(one(IdempotencyKey.body, IdempotencyKey.key == key.text))


def test_a_name_is_given_once(app, hired, now):
    who = {"name": "x", "password": "x", "role": "admin", "store_id": None, "now": now}

    with pytest.raises(NameTaken):
        staff.hire(username="admin", **who)
    outcomes = together(app, [lambda: staff.hire(username="new", **who)] * 6)

    assert sum(isinstance(each, NameTaken) for each in outcomes) == 5


def test_the_database_itself_refuses_a_clerk_without_a_store_and_a_role_unknown(app, now):
    for role in ("clerk", "manager", "king"):
        with pytest.raises(IntegrityError):
            staff.hire(username=role, name="x", password="x", role=role, store_id=None, now=now)
