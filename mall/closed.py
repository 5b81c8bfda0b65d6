"""Closed accounts: whose sessions are over, and who may not join again yet.

Nothing that names anybody stands here, only what the key ring makes of an identity.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from mall import touches
from mall.atomic import atomic, read
from mall.errors import ClosedLately, Unauthenticated
from mall.tokens import SHOPPER_LASTS
from models import ClosedMark, Closure
from models.base import insert, table_of

OPENID, EXTERNAL_ID = "openid", "external_id"
LOOKED_EVERY_S = 5.0

_marks, _closures = table_of(ClosedMark), table_of(Closure)


class _Lately:
    """Members closed within the life of a token, as this process last read them."""

    def __init__(self) -> None:
        self.members: frozenset[int] = frozenset()
        self.looked_at = -LOOKED_EVERY_S


_lately = _Lately()


def check_session(member_id: int, *, now: datetime) -> None:
    """Refuse the token of an account that was closed: tokens are signed and looked up nowhere.

    A process reads the closed ones every five seconds, so a token outlives its account by no more.
    """
    tick = time.monotonic()
    if tick - _lately.looked_at >= LOOKED_EVERY_S:
        _lately.looked_at = tick
        with suppress(SQLAlchemyError):  # then whatever is asked for can't be read either
            _look(now)
    if member_id in _lately.members:
        raise Unauthenticated()


def _look(now: datetime) -> None:
    since = _closures.c.closed_at > now - SHOPPER_LASTS
    found = read(sa.select(_closures.c.member_id).where(since))
    _lately.members = frozenset(row.member_id for row in found)


def forget(*, looked: bool = False) -> None:
    """Know of nobody: look at the next request, or only when the time has come again."""
    _lately.members = frozenset()
    _lately.looked_at = time.monotonic() if looked else -LOOKED_EVERY_S


def remember(member_id: int) -> None:
    """Let this process know at once."""
    _lately.members |= {member_id}


def bar(openids: Iterable[str], external_ids: Iterable[str], *, until: datetime) -> None:
    """Keep identities out: WeChat's until a moment, the shop's own numbers for good."""
    rows = [
        {"mark": touches.mark(OPENID, each), "kind": OPENID, "until": until} for each in openids
    ] + [
        {"mark": touches.mark(EXTERNAL_ID, each), "kind": EXTERNAL_ID, "until": None}
        for each in external_ids
    ]
    if not rows:
        return
    statement = insert(ClosedMark)
    with atomic() as transaction:
        for row in sorted(rows, key=lambda each: str(each["mark"])):
            kept = {"until": statement.excluded.until}
            changed = statement.on_conflict_do_update(index_elements=["mark"], set_=kept)
            transaction.execute(changed, row)


def check_join(openid: str, *, now: datetime) -> None:
    """Refuse who was closed a short while ago; raises ClosedLately with the first day they may."""
    mark = touches.mark(OPENID, openid)
    for row in read(sa.select(_marks.c.until).where(_marks.c.mark == mark)):
        if row.until is not None and row.until > now:
            left: timedelta = row.until - now
            raise ClosedLately(days=left.days + 1)


def among(external_ids: Iterable[str]) -> set[str]:
    """Those of the shop's own numbers whose members had themselves forgotten."""
    by_mark = {touches.mark(EXTERNAL_ID, each): each for each in external_ids}
    query = sa.select(_marks.c.mark).where(_marks.c.mark.in_(by_mark))
    return {by_mark[row.mark] for row in read(query)}
