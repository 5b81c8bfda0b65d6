"""Wrong passwords and wrong codes: a few of them shut the door for a while."""

import math
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall.atomic import atomic
from mall.errors import TooManyLogins
from models import Failure, db
from models.base import insert

WRONG_PASSWORDS = 5
WRONG_CODES = 10
PASSWORD_WINDOW = timedelta(minutes=15)
CODE_WINDOW = timedelta(minutes=10)


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


def check_throttle(subject: str, now: datetime) -> None:
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


def one_at_a_time(subject: str) -> None:
    """Wait for the other guesses under a name; SQLite has one writer anyhow."""
    if db.engine.dialect.name == "postgresql":
        with atomic() as transaction:
            lock = sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"log-in {subject}"))
            transaction.execute(sa.select(lock))
