"""Tasks written, looked at, put in force and ended. A version is never changed once it is in force."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, read
from mall.errors import (
    ChangedMeanwhile,
    NotFound,
    PeriodFixed,
    RulePublished,
    TaskNotInForce,
)
from mall.idempotency import Answer, Key
from mall.segments import audience
from mall.tasks.check import check, check_codes, only_of
from mall.tasks.rules import NEWCOMER
from models import Account, Member, Task, TaskVersion
from models.base import db, insert, table_of

OWN_COLUMNS = (
    *("title", "title_en", "ordered", "starts_on", "ends_on", "points", "bundle_code"),
    *("automatic", "sort"),
)
_versions = table_of(TaskVersion)


def write(
    values: dict[str, Any], *, publish: bool, staff_id: int | None, key: Key, now: datetime
) -> Answer:
    """Write a new version of a task, as a draft or in force at once."""
    with atomic():
        key.claim(now=now)
        check(values)
        task = _task(values["code"], values["period"], now)
        check_codes(task.id, values["steps"])
        stamp = _stamp(staff_id, now) if publish else _stamp(None, None)
        return key.store(201, view(_add(task, {**_columns(values), **stamp, "active": True}, now)))


def _stamp(staff_id: int | None, now: datetime | None) -> dict[str, Any]:
    return {"published_by": staff_id, "published_at": now}


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: values[name] for name in OWN_COLUMNS},
        "steps": [_step(each) for each in values["steps"]],
        "audience": _said(values["audience"]),
    }


def _step(values: Mapping[str, Any]) -> dict[str, Any]:
    only = only_of(values)
    named = ("code", "title", "title_en", "counts", "target")
    return {**{name: values[name] for name in named}, **({"only": only} if only else {})}


def _said(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in filters.items()
        if value not in (None, [])
    }


def _task(code: str, period: str, now: datetime) -> Task:
    """The task of a code, which is made where there is none."""
    new = insert(Task).values(code=code, period=period, created_at=now).on_conflict_do_nothing()
    with atomic() as transaction:
        transaction.execute(new)
    task = db.session.scalars(sa.select(Task).where(Task.code == code)).one()
    if task.period != period:
        raise PeriodFixed(task=code, period=task.period)
    return task


def _add(task: Task, columns: dict[str, Any], now: datetime) -> TaskVersion:
    """Add the next version; of two at the same moment the second is refused."""
    last = sa.select(sa.func.max(_versions.c.version)).where(_versions.c.task_id == task.id)
    with atomic() as transaction:
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {**columns, "task_id": task.id, "version": version, "created_at": now}
        statement = insert(TaskVersion).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(_versions.c.id)).scalar()
    if added is None:
        raise ChangedMeanwhile(version=version)
    return TaskVersion(id=added, task=task, **row)


def redraft(version_id: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """Change a draft; what is in force stays what it is."""
    with atomic() as transaction:
        found = _find(version_id)
        names = (*OWN_COLUMNS, "steps", "audience")
        merged = {**{name: getattr(found, name) for name in names}, **values}
        check({**merged, "period": found.task.period})
        check_codes(found.task_id, merged["steps"])
        changed = transaction.execute(
            sa.update(_versions)
            .where(_versions.c.id == version_id, _versions.c.published_at.is_(None))
            .values(_columns(merged))
        )
        if changed.rowcount == 0:
            raise RulePublished(version=found.version)
        return view(_find(version_id))


def publish(version_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put a draft in force; refused where it is in force, or where a newer version is."""
    with atomic() as transaction:
        key.claim(now=now)
        found = _find(version_id)
        check_codes(found.task_id, found.steps)
        version = _newest(found.task_id)
        done = transaction.execute(
            sa.update(_versions)
            .where(
                _versions.c.id == version_id,
                _versions.c.published_at.is_(None),
                _versions.c.version > (version.version if version else 0),
            )
            .values(**_stamp(staff_id, now))
        )
        if done.rowcount == 0:
            raise RulePublished(version=version.version if version else found.version)
        return key.store(200, view(_find(version_id)))


def retire(version_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """End a task for everybody: nothing counts and nothing can be claimed from now on.

    That is a version too. What was given stays, and a refund still takes it back.
    """
    with atomic():
        key.claim(now=now)
        found = _find(version_id)
        newest = _newest(found.task_id)
        if newest is None or not newest.active:
            raise TaskNotInForce(task=found.task.code)
        names = (*OWN_COLUMNS, "steps", "audience")
        same = {name: getattr(newest, name) for name in names}
        ended = _add(found.task, {**same, **_stamp(staff_id, now), "active": False}, now)
        return key.store(201, view(ended))


def preview(version_id: int, *, now: datetime) -> dict[str, int]:
    """How many members a version is for today, of how many; its days are not looked at."""
    filters = dict(_find(version_id).audience)
    newcomer_days = filters.pop(NEWCOMER, None)
    chosen = audience(filters)
    if newcomer_days is not None:
        first = clock.business_day(now) - timedelta(days=newcomer_days - 1)
        chosen = chosen.where(Member.joined_at >= clock.start_of_day(first))
    everybody = sa.select(sa.func.count()).select_from(Account).where(Account.state == "open")
    ((members,),) = read(sa.select(sa.func.count()).select_from(chosen.subquery()))
    ((total,),) = read(everybody)
    return {"members": members, "members_total": total}


def _newest(task_id: int) -> TaskVersion | None:
    """The version of a task that is in force, or that ended it."""
    mine = every_version().where(
        TaskVersion.task_id == task_id, TaskVersion.published_at.is_not(None)
    )
    newest = mine.order_by(TaskVersion.version.desc()).limit(1)
    found: TaskVersion | None = db.session.scalar(newest.execution_options(populate_existing=True))
    return found


def _find(version_id: int) -> TaskVersion:
    found: TaskVersion | None = db.session.scalar(
        every_version()
        .where(TaskVersion.id == version_id)
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound()
    return found


def every_version() -> sa.Select[Any]:
    """Every version of every task, with its task."""
    return sa.select(TaskVersion).options(sa.orm.joinedload(TaskVersion.task))


def _state(version: TaskVersion) -> str:
    if version.published_at is None:
        return "draft"
    return "published" if version.active else "retired"


def view(version: TaskVersion) -> dict[str, Any]:
    """A version as an admin sees it."""
    names = ("id", "task_id", "version", "steps", "audience", "published_by", *OWN_COLUMNS)
    published = version.published_at
    shown = {name: getattr(version, name) for name in names}
    days = {name: shown[name] and shown[name].isoformat() for name in ("starts_on", "ends_on")}
    return {
        **shown,
        **days,
        "code": version.task.code,
        "period": version.task.period,
        "state": _state(version),
        "created_at": clock.rfc3339(version.created_at),
        "published_at": clock.rfc3339(published) if published else None,
    }
