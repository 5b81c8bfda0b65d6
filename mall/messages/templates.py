"""Templates: drafted, looked at, published. A text that could not be filled is never published."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, members
from mall.atomic import atomic
from mall.errors import ChangedMeanwhile, NotFound, TemplatePublished, TemplateUnready
from mall.idempotency import Answer, Key
from mall.messages.occasions import OCCASIONS, filled, of_member, used
from models import MessageTemplate, db
from models.base import insert, table_of

TEXTS = ("title_zh", "body_zh", "title_en", "body_en")


def view(template: Any) -> dict[str, Any]:
    names = ("id", "occasion", "version", *TEXTS, "is_on", "created_by", "published_by")
    at = template.published_at
    return {
        **{name: getattr(template, name) for name in names},
        "created_at": clock.rfc3339(template.created_at),
        "published_at": clock.rfc3339(at) if at else None,
    }


def find(template_id: int) -> MessageTemplate:
    template = db.session.get(MessageTemplate, template_id, populate_existing=True)
    if template is None:
        raise NotFound()
    return template


def draft(values: dict[str, Any], *, staff_id: int | None, key: Key, now: datetime) -> Answer:
    """Write a draft; nobody is written to by it before it is published."""
    with atomic() as transaction:
        key.claim(now=now)
        row = {**values, "created_by": staff_id, "created_at": now}
        statement = insert(MessageTemplate).values(**row).returning(MessageTemplate.id)
        return key.store(201, view(find(transaction.execute(statement).scalar_one())))


def redraft(template_id: int, values: dict[str, Any]) -> MessageTemplate:
    """Change a draft; what is published stays what it is."""
    table = table_of(MessageTemplate)
    with atomic() as transaction:
        changed = transaction.execute(
            sa.update(table)
            .where(table.c.id == template_id, table.c.version.is_(None))
            .values(**values, id=template_id)
        )
        template = find(template_id)
        if changed.rowcount == 0:
            raise TemplatePublished(version=template.version)
    return template


def faults(template: Any) -> dict[str, list[str]]:
    """What stands in the way of publishing, by sort.

    `unknown`: used, but nothing is known to say for it. `missing`: what its reader has to be told.
    """
    occasion = OCCASIONS[template.occasion]
    by_language = [_used(template, language) for language in ("zh", "en")]
    return {
        "unknown": sorted(set().union(*by_language) - set(occasion.variables)),
        "missing": sorted(set().union(*(occasion.needs - each for each in by_language))),
    }


def _used(template: Any, language: str) -> set[str]:
    return used(getattr(template, f"title_{language}")) | used(
        getattr(template, f"body_{language}")
    )


def preview(template_id: int, *, member_id: int | None) -> dict[str, Any]:
    """How a template reads: with samples, or with what is known of a member."""
    template = find(template_id)
    if member_id is not None:
        members.find(member_id)
    return {**_read(template, member_id), **faults(template)}


def _read(template: Any, member_id: int | None) -> dict[str, str]:
    samples = OCCASIONS[template.occasion].variables
    texts = {}
    for name in TEXTS:
        theirs = of_member(member_id, language=name[-2:]) if member_id is not None else {}
        texts[name] = filled(getattr(template, name), {**samples, **theirs})
    return texts


def publish(template_id: int, *, staff_id: int | None, key: Key, now: datetime) -> Answer:
    """Put a draft in force for its occasion; one that can't be filled is refused with what is wrong."""
    with atomic() as transaction:
        key.claim(now=now)
        template = find(template_id)
        if template.version is not None:
            raise TemplatePublished(version=template.version)
        _refuse_unready(template)
        table = table_of(MessageTemplate)
        last = sa.select(sa.func.max(table.c.version)).where(table.c.occasion == template.occasion)
        version = (transaction.execute(last).scalar() or 0) + 1
        done = transaction.execute(_publication(template_id, version, staff_id, now))
        if done.rowcount == 0:
            raise ChangedMeanwhile(version=version)
        return key.store(200, view(find(template_id)))


def _publication(template_id: int, version: int, staff_id: int | None, now: datetime) -> Any:
    """Publish what is a draft still, where nobody has taken the number meanwhile."""
    table = table_of(MessageTemplate)
    other = table.alias()
    taken = sa.exists().where(other.c.occasion == table.c.occasion, other.c.version == version)
    statement = sa.update(table).where(table.c.id == template_id, table.c.version.is_(None), ~taken)
    return statement.values(version=version, published_by=staff_id, published_at=now)


def _refuse_unready(template: Any) -> None:
    found = faults(template)
    if not any(found.values()):
        return
    said = (
        ("unknown", "没有这些变量：", "unknown variables: "),
        ("missing", "缺少变量：", "missing: "),
    )
    raise TemplateUnready(
        wrong="；".join(zh + _listed(found[name]) for name, zh, _ in said if found[name]),
        wrong_en="; ".join(en + _listed(found[name]) for name, _, en in said if found[name]),
        unknown=found["unknown"],
        missing=found["missing"],
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
