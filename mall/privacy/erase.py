"""Forget who somebody was. What they did stays, under a number that is nobody's any more.

A test asks every column of the database and every key of Redis for what a member once said.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from mall import closed, gates, phones, touches
from mall.atomic import atomic
from models import (
    IdempotencyKey,
    Member,
    Message,
    ProfileChange,
    Redemption,
    Review,
    Sighting,
    Touch,
)
from models.base import table_of

BLANK = {
    **{"nickname": "", "gender": "unknown", "birthday": None, "city": ""},
    **{"appid": None, "openid": None, "unionid": None, "external_id": None},
    **dict.fromkeys(phones.COLUMNS),
}
GONE = (ProfileChange, Message, Sighting)  # rows that are about nothing but the person


def erase(member_ids: Sequence[int], *, until: datetime) -> None:
    """Blank what names these members; their identities can't join again until a moment."""
    members = table_of(Member)
    mine = members.c.id.in_(member_ids)
    with atomic() as transaction:
        people = transaction.execute(sa.select(members).where(mine).with_for_update()).all()
        identities = [f"{row.appid}:{row.openid}" for row in people if row.openid]
        closed.bar(identities, [row.external_id for row in people if row.external_id], until=until)
        _forget_visits(member_ids, identities)
        for model in GONE:
            table = table_of(model)
            transaction.execute(sa.delete(table).where(table.c.member_id.in_(member_ids)))
        transaction.execute(sa.update(members).where(mine).values(**BLANK))
        _blank(Redemption, member_ids, address=None)
        _blank(Review, member_ids, text="")
        callers = [gates.caller_of(each) for each in member_ids]
        stored = table_of(IdempotencyKey)
        answers = sa.update(stored).where(stored.c.caller.in_(callers), stored.c.body.is_not(None))
        transaction.execute(answers.values(body=None))


def _blank(model: type, member_ids: Sequence[int], **values: object) -> None:
    table = table_of(model)
    with atomic() as transaction:
        change = sa.update(table).where(table.c.member_id.in_(member_ids))
        transaction.execute(change.values(**values))


def _forget_visits(member_ids: Sequence[int], identities: Sequence[str]) -> None:
    """What was opened before joining, by the marks of identities and devices."""
    seen, touched = table_of(Sighting), table_of(Touch)
    devices = sa.select(seen.c.mark).where(seen.c.member_id.in_(member_ids))
    marks = [touches.mark(touches.OPENID, each) for each in identities]
    with atomic() as transaction:
        known = sa.or_(touched.c.visitor.in_(marks), touched.c.visitor.in_(devices))
        transaction.execute(sa.delete(touched).where(known))
