"""Passwords: kept as Argon2id, long enough, and changed by whoever knows the one before."""

import secrets
from datetime import datetime

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mall.atomic import atomic
from mall.errors import PasswordWeak, PasswordWrong
from mall.idempotency import Answer, Key
from mall.staff.failures import check_throttle, fail, one_at_a_time
from mall.staff.sessions import end_all
from mall.staff.standing import own_view
from models import Staff, db

MIN_CHARACTERS = 8
MADE_BYTES = 12

hasher = PasswordHasher()  # Argon2id with the library's parameters (RFC 9106, low-memory)
_nobody = hasher.hash("nobody has this password")  # so that an unknown name takes as long


def hashed(password: str) -> str:
    return hasher.hash(password)


def made() -> str:
    """A password that nobody has to think of, to be changed at the first log-in."""
    return secrets.token_urlsafe(MADE_BYTES)


def right(member: Staff | None, password: str) -> bool:
    """Whether the password is this person's; an unknown name takes as long to be refused."""
    try:
        hasher.verify(member.password_hash if member else _nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return member is not None and member.active


def check_new(password: str, username: str) -> None:
    """Refuse what is guessed first. Length counts, not kinds of characters (NIST SP 800-63B)."""
    if len(password) < MIN_CHARACTERS or username.lower() in password.lower():
        raise PasswordWeak(min_characters=MIN_CHARACTERS)
    if len(set(password)) == 1:
        raise PasswordWeak(min_characters=MIN_CHARACTERS)


def prove(staff_id: int, password: str, now: datetime) -> Staff:
    """Let somebody who is logged in show that it is still them; wrong ones count as at log-in."""
    member = db.session.get_one(Staff, staff_id)
    check_throttle(member.username.lower(), now)
    proved = right(member, password)
    with atomic():
        one_at_a_time(member.username.lower())
        check_throttle(member.username.lower(), now)
        if not proved:
            fail("password", member.username.lower(), now=now)
    if not proved:
        raise PasswordWrong()
    return member


def change_password(
    staff_id: int, password: str, new_password: str, *, token: str, key: Key, now: datetime
) -> Answer:
    """Take another password; every other session of theirs ends."""
    member = prove(staff_id, password, now)
    check_new(new_password, member.username)
    if password == new_password:
        raise PasswordWeak(min_characters=MIN_CHARACTERS)
    values = {"password_hash": hashed(new_password), "must_change_password": False}
    with atomic() as transaction:
        key.claim(now=now)
        transaction.execute(sa.update(Staff).where(Staff.id == staff_id).values(**values))
        end_all(staff_id, but=token)
        return key.store(200, own_view(staff_id, now=now))
