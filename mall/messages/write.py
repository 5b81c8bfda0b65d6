"""Writing to members: one message for a fact at most, in the words in force at that moment."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.events import Fact
from mall.idempotency import Answer, Key
from mall.messages.occasions import OCCASIONS, filled, of_member
from mall.messages.templates import TEXTS
from models import Message, MessageTemplate
from models.base import insert, table_of
from models.messages import BODY_LENGTH, RENDERED, TITLE_LENGTH


def _in_force() -> dict[str, Any]:
    """By occasion the newest version, where it is switched on."""
    table = table_of(MessageTemplate)
    query = sa.select(table).where(table.c.version.is_not(None)).order_by(table.c.version)
    with atomic() as transaction:
        newest = {row.occasion: row for row in transaction.execute(query)}
    return {occasion: row for occasion, row in newest.items() if row.is_on}


def kinds() -> set[str]:
    """The kinds of facts that somebody is written to about."""
    return {OCCASIONS[occasion].fact.kind for occasion in _in_force()}


def write(fact: Fact, *, now: datetime) -> None:
    """Write to a member about a fact, if the shop has words for it."""
    for code, template in _in_force().items():
        if type(fact) is OCCASIONS[code].fact:
            said = OCCASIONS[code].read(fact, now)
            if said is not None:
                _write(fact, template, said, now)


def _write(fact: Fact, template: Any, said: Mapping[str, str], now: datetime) -> None:
    row = {
        "member_id": fact.member_id,
        "occasion": template.occasion,
        "event_id": fact.id,
        "template_id": template.id,
        "created_at": now,
    }
    for name in TEXTS:
        known = {**of_member(fact.member_id, language=name[-2:]), **said}
        length = (TITLE_LENGTH if name.startswith("title") else BODY_LENGTH) * RENDERED
        row[name] = filled(getattr(template, name), known)[:length]
    with atomic() as transaction:
        transaction.execute(insert(Message).values(**row).on_conflict_do_nothing())


def unread(member_id: int) -> int:
    query = sa.select(sa.func.count()).where(
        Message.member_id == member_id, Message.read_at.is_(None)
    )
    with atomic() as transaction:
        return int(transaction.execute(query).scalar_one())


def read_all(member_id: int, *, last_id: int, key: Key, now: datetime) -> Answer:
    """Note that a member has read their messages up to one."""
    table = table_of(Message)
    with atomic() as transaction:
        key.claim(now=now)
        transaction.execute(
            sa.update(table)
            .where(table.c.member_id == member_id, table.c.id <= last_id, table.c.read_at.is_(None))
            .values(read_at=now)
        )
        return key.store(200, {"unread": unread(member_id)})
