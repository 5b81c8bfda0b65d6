"""Tasks written, looked at and put in force. A version is never changed after that."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, read
from mall.errors import (
    ChangedMeanwhile,
    Malformed,
    NotFound,
    PeriodFixed,
    RulePublished,
    StepChanged,
)
from mall.idempotency import Answer, Key
from models import Bundle, Reward, Store, Task, TaskVersion, Tier
from models.base import db, insert, table_of

OWN_COLUMNS = (
    *("title", "title_en", "ordered", "starts_on", "ends_on", "points", "bundle_code"),
    *("automatic", "active", "sort"),
)
OF_RECEIPTS = {"purchase_count", "purchase_amount"}
OF_REWARDS = {"redemption", "voucher_used"}
OF_STORES = OF_RECEIPTS | OF_REWARDS | {"review_approved"}
ALLOWED = {  # which restriction may stand at steps that count what
    "stores": OF_STORES,
    "categories": OF_RECEIPTS | OF_REWARDS,
    "skus": OF_RECEIPTS,
    "min_amount_fen": OF_RECEIPTS,
    "rewards": OF_REWARDS,
}
_versions = table_of(TaskVersion)


def write(
    values: dict[str, Any], *, publish: bool, staff_id: int | None, key: Key, now: datetime
) -> Answer:
    """Write a new version of a task, as a draft or in force at once."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(values)
        task = _task(values, now)
        _check_steps(task.id, values["steps"])
        last = sa.select(sa.func.max(_versions.c.version)).where(_versions.c.task_id == task.id)
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {
            **{name: values[name] for name in OWN_COLUMNS},
            "steps": [_step(each) for each in values["steps"]],
            "audience": _said(values["audience"]),
            "task_id": task.id,
            "version": version,
            "created_at": now,
            "published_by": staff_id if publish else None,
            "published_at": now if publish else None,
        }
        statement = insert(TaskVersion).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(_versions.c.id)).scalar()
        if added is None:
            raise ChangedMeanwhile(version=version)
        return key.store(201, view(TaskVersion(id=added, task=task, **row)))


def _task(values: dict[str, Any], now: datetime) -> Task:
    """The task of a code, which is made where there is none."""
    code, period = values["code"], values["period"]
    new = insert(Task).values(code=code, period=period, created_at=now).on_conflict_do_nothing()
    with atomic() as transaction:
        transaction.execute(new)
    task = db.session.scalars(sa.select(Task).where(Task.code == code)).one()
    if task.period != period:
        raise PeriodFixed(task=code, period=task.period)
    return task


def publish(version_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Put a draft in force; refused where it is in force, or where a newer version is."""
    with atomic() as transaction:
        key.claim(now=now)
        found = _find(version_id)
        newer = sa.select(sa.func.max(_versions.c.version)).where(
            _versions.c.task_id == found.task_id, _versions.c.published_at.is_not(None)
        )
        version = transaction.execute(newer).scalar() or 0
        done = transaction.execute(
            sa.update(_versions)
            .where(
                _versions.c.id == version_id,
                _versions.c.published_at.is_(None),
                _versions.c.version > version,
            )
            .values(published_at=now, published_by=staff_id)
        )
        if done.rowcount == 0:
            raise RulePublished(version=version)
        return key.store(200, view(_find(version_id)))


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


def _step(values: Mapping[str, Any]) -> dict[str, Any]:
    only = {name: value for name, value in values.get("only", {}).items() if value}
    named = ("code", "title", "title_en", "counts", "target")
    return {**{name: values[name] for name in named}, **({"only": only} if only else {})}


def _said(audience: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in audience.items()
        if value not in (None, [])
    }


def _check(values: dict[str, Any]) -> None:
    """Refuse a task that could never be done or never pay, or that names what is not there."""
    errors = {**_wrong_days(values), **_wrong_steps(values["steps"], ordered=values["ordered"])}
    code = values["bundle_code"]
    if not code and not values["points"]:
        errors["points"] = ["a task gives points, a bundle or both"]
    if code and not _there(Bundle.code, {code}):
        errors["bundle_code"] = ["no such bundle"]
    if not _there(Tier.code, set(values["audience"].get("tiers", ()))):
        errors["audience"] = ["tiers: no such tier"]
    if errors:
        raise Malformed(errors=errors)


def _wrong_days(values: dict[str, Any]) -> dict[str, list[str]]:
    starts, ends = values["starts_on"], values["ends_on"]
    if values["period"] == "window" and not (starts and ends):
        return {"starts_on": ["a window has a first and a last day"]}
    if starts and ends and starts > ends:
        return {"ends_on": ["before starts_on"]}
    return {}


def _wrong_steps(steps: Sequence[dict[str, Any]], *, ordered: bool) -> dict[str, list[str]]:
    if len({step["code"] for step in steps}) < len(steps):
        return {"steps": ["each code once"]}
    if ordered and len(steps) == 1:
        return {"ordered": ["one step has no order"]}
    for step in steps:
        only = {name for name, value in step.get("only", {}).items() if value}
        for name in sorted(only):
            if step["counts"] not in ALLOWED[name]:
                return {"steps": [f"{step['code']}: {name} says nothing of {step['counts']}"]}
        if step["counts"] == "profile_completed" and step["target"] > 1:
            return {"steps": [f"{step['code']}: a profile is completed once"]}
    stores = {each for step in steps for each in step.get("only", {}).get("stores", ())}
    rewards = {each for step in steps for each in step.get("only", {}).get("rewards", ())}
    if not (_there(Store.id, stores) and _there(Reward.id, rewards)):
        return {"steps": ["no such store or reward"]}
    return {}


def _there(column: Any, wanted: set[Any]) -> bool:
    return not wanted or {row[0] for row in read(sa.select(column).where(column.in_(wanted)))} == (
        wanted
    )


def _check_steps(task_id: int, steps: Sequence[dict[str, Any]]) -> None:
    """Refuse a step's code that counted something else in another version: progress would mix."""
    known = sa.select(_versions.c.steps).where(_versions.c.task_id == task_id)
    before = {step["code"]: step["counts"] for row in read(known) for step in row.steps}
    for step in steps:
        counts = before.get(step["code"], step["counts"])
        if counts != step["counts"]:
            raise StepChanged(step=step["code"], counts=counts)


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
        "state": "published" if published else "draft",
        "created_at": clock.rfc3339(version.created_at),
        "published_at": clock.rfc3339(published) if published else None,
    }
