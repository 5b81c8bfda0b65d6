"""Staff: log in, stay logged in, be turned away after wrong passwords."""

import math
import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mall.atomic import atomic
from mall.errors import LoginRefused, NameTaken, TooManyLogins, Unauthenticated
from mall.idempotency import Answer, Key
from mall.keys import sha256_hex, to_text
from models import Failure, Staff, StaffSession, Store, db
from models.base import insert

SESSION_LASTS = timedelta(hours=12)
WRONG_PASSWORDS = 5
WRONG_CODES = 10
PASSWORD_WINDOW = timedelta(minutes=15)
CODE_WINDOW = timedelta(minutes=10)
TOKEN_BYTES = 32
TILL_ROLES = ("clerk", "manager")

_hasher = PasswordHasher()  # Argon2id with the library's parameters (RFC 9106, low-memory)
_nobody = _hasher.hash("nobody has this password")  # so that an unknown name takes as long


def hire(
    *, username: str, name: str, password: str, role: str, store_id: int | None, now: datetime
) -> int:
    """Add somebody to the staff; answers the id."""
    with atomic() as transaction:
        added = transaction.execute(
            insert(Staff)
            .values(
                username=username,
                name=name,
                password_hash=_hasher.hash(password),
                role=role,
                store_id=store_id,
                active=True,
                created_at=now,
            )
            .on_conflict_do_nothing()
            .returning(Staff.id)
        ).scalar()
    if added is None:
        raise NameTaken()
    return int(added)


def log_in(*, username: str, password: str, key: Key, now: datetime) -> Answer:
    """Open a session. Its token is in the answer and nowhere else; the row keeps a hash."""
    subject = username.lower()
    _check_throttle(subject, now)
    member = db.session.scalar(sa.select(Staff).where(Staff.username == username))
    right = _right(member, password)
    with atomic():
        key.claim(now=now)
        _one_at_a_time(subject)  # guesses sent together are judged one after the other
        _check_throttle(subject, now)
        if right and member is not None:
            return _logged_in(member, key, now)
        key.drop()
        fail("password", subject, now=now)
    raise LoginRefused()


def _one_at_a_time(subject: str) -> None:
    """Wait for the other log-ins under a name; SQLite has one writer anyhow."""
    if db.engine.dialect.name == "postgresql":
        with atomic() as transaction:
            lock = sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"log-in {subject}"))
            transaction.execute(sa.select(lock))


def _logged_in(member: Staff, key: Key, now: datetime) -> Answer:
    store = store_of(member)
    return key.store(
        200,
        {
            "access_token": _open_session(member.id, now),
            "expires_in_s": int(SESSION_LASTS.total_seconds()),
            "role": member.role,
            "store": {"id": store.id, "code": store.code, "name": store.name} if store else None,
        },
    )


def _check_throttle(subject: str, now: datetime) -> None:
    """Turn away who was wrong too often, until the first of those failures is old enough."""
    newest = sa.select(Failure.failed_at).where(
        Failure.kind == "password",
        Failure.subject == subject,
        Failure.failed_at > now - PASSWORD_WINDOW,
    )
    newest = newest.order_by(Failure.failed_at.desc()).limit(WRONG_PASSWORDS)
    failed_at = db.session.scalars(newest).all()
    if len(failed_at) == WRONG_PASSWORDS:
        wait_s = math.ceil((failed_at[-1] + PASSWORD_WINDOW - now).total_seconds())
        raise TooManyLogins(minutes=math.ceil(wait_s / 60), retry_after_s=wait_s)


def _open_session(staff_id: int, now: datetime) -> str:
    token = to_text(secrets.token_bytes(TOKEN_BYTES))
    row = {"token_hash": sha256_hex(token), "staff_id": staff_id}
    with atomic() as transaction:
        transaction.execute(
            insert(StaffSession).values(**row, created_at=now, expires_at=now + SESSION_LASTS)
        )
    return token


def _right(member: Staff | None, password: str) -> bool:
    """Whether the password is this person's; an unknown name takes as long to be refused."""
    try:
        _hasher.verify(member.password_hash if member else _nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return member is not None and member.active


def of_token(token: str, *, now: datetime) -> Staff:
    """Whose session a token is; raises Unauthenticated for one that is over or was never ours."""
    member = db.session.scalar(
        sa.select(Staff)
        .join(StaffSession, StaffSession.staff_id == Staff.id)
        .where(
            StaffSession.token_hash == sha256_hex(token),
            StaffSession.expires_at > now,
            Staff.active,
        )
    )
    if member is None:
        raise Unauthenticated()
    return member


def store_of(member: Staff) -> Store | None:
    return None if member.store_id is None else db.session.get(Store, member.store_id)


def failures(kind: str, subject: str, *, since: datetime) -> int:
    """How often somebody failed at something since a moment."""
    query = sa.select(sa.func.count()).where(
        Failure.kind == kind, Failure.subject == subject, Failure.failed_at > since
    )
    return db.session.scalar(query) or 0


def fail(kind: str, subject: str, *, now: datetime) -> None:
    """Count a failure, whatever becomes of the request that met it."""
    with atomic() as transaction:
        transaction.execute(insert(Failure).values(kind=kind, subject=subject[:64], failed_at=now))
