"""Sessions: opaque, kept as a hash, over after half a day, or sooner where nobody uses them."""

import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import shop
from mall.atomic import atomic
from mall.errors import Unauthenticated
from mall.keys import sha256_hex, to_text
from mall.staff.roles import CONSOLE_ROLES
from models import Staff, StaffSession, db
from models.base import insert, table_of

SESSION_LASTS = timedelta(hours=12)
SEEN_EVERY = timedelta(minutes=1)  # so often is noted that a session is in use
TOKEN_BYTES = 32

_table = table_of(StaffSession)


def open_session(staff_id: int, now: datetime) -> str:
    token = to_text(secrets.token_bytes(TOKEN_BYTES))
    row = {"token_hash": sha256_hex(token), "staff_id": staff_id, "last_used_at": now}
    with atomic() as transaction:
        transaction.execute(
            insert(StaffSession).values(**row, created_at=now, expires_at=now + SESSION_LASTS)
        )
    return token


def of_token(token: str, *, now: datetime) -> Staff:
    """Whose session a token is; raises Unauthenticated for one that is over or was never ours."""
    found = db.session.execute(
        sa.select(Staff, _table.c.last_used_at, _table.c.created_at)
        .join(_table, _table.c.staff_id == Staff.id)
        .where(_table.c.token_hash == sha256_hex(token), _table.c.expires_at > now, Staff.active)
    ).one_or_none()
    if found is None:
        raise Unauthenticated()
    member: Staff = found[0]
    used_at = found.last_used_at or found.created_at
    if member.role in CONSOLE_ROLES and now - used_at >= _idle():
        raise Unauthenticated()
    if now - used_at >= SEEN_EVERY:
        _see(token, now)
    return member


def _idle() -> timedelta:
    return timedelta(minutes=shop.setting("admin_idle_minutes"))


def _see(token: str, now: datetime) -> None:
    with atomic() as transaction:
        seen = sa.update(_table).where(_table.c.token_hash == sha256_hex(token))
        transaction.execute(seen.values(last_used_at=now))


def end(token: str) -> None:
    """Log out."""
    with atomic() as transaction:
        transaction.execute(sa.delete(_table).where(_table.c.token_hash == sha256_hex(token)))


def end_all(staff_id: int, *, but: str | None = None) -> int:
    """Log somebody out everywhere, or everywhere else; answers how many sessions ended."""
    query = sa.delete(_table).where(_table.c.staff_id == staff_id)
    if but is not None:
        query = query.where(_table.c.token_hash != sha256_hex(but))
    with atomic() as transaction:
        return int(transaction.execute(query).rowcount)


def open_now(staff_id: int, now: datetime) -> int:
    """How many sessions somebody has open."""
    query = sa.select(sa.func.count()).where(
        _table.c.staff_id == staff_id, _table.c.expires_at > now
    )
    return db.session.scalar(query) or 0
