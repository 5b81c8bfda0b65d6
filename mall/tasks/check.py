"""What no version of a task may say: what could never be done, never pay, or names what is not there."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from mall.atomic import read
from mall.errors import Malformed, StepChanged
from mall.tasks.periods import EACH
from models import Bundle, Reward, Store, TaskVersion, Tier
from models.base import table_of

OF_RECEIPTS = {"purchase_count", "purchase_amount"}
OF_REWARDS = {"redemption", "voucher_used"}
ALLOWED = {  # which restriction may stand at steps that count what
    "stores": OF_RECEIPTS | OF_REWARDS | {"review_approved", "visit"},
    "categories": OF_RECEIPTS | OF_REWARDS,
    "skus": OF_RECEIPTS,
    "min_amount_fen": OF_RECEIPTS,
    "rewards": OF_REWARDS,
    "tiers": {"tier_reached"},
}
NAMES = {"stores": Store.id, "rewards": Reward.id, "tiers": Tier.code}


def check(values: Mapping[str, Any]) -> None:
    """Raise for what a version may not say, with everything that is wrong of it."""
    errors = {**_days(values), **_steps(values), **_each(values)}
    code = values["bundle_code"]
    if not code and not values["points"]:
        errors["points"] = ["a task gives points, a bundle or both"]
    if code and not _there(Bundle.code, {code}):
        errors["bundle_code"] = ["no such bundle"]
    if not _there(Tier.code, set(values["audience"].get("tiers", ()))):
        errors["audience"] = ["tiers: no such tier"]
    if errors:
        raise Malformed(errors=errors)


def _days(values: Mapping[str, Any]) -> dict[str, list[str]]:
    starts, ends = values["starts_on"], values["ends_on"]
    if values["period"] == "window" and not (starts and ends):
        return {"starts_on": ["a window has a first and a last day"]}
    if starts and ends and starts > ends:
        return {"ends_on": ["before starts_on"]}
    return {}


def _each(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Where everything that counts is paid by itself, there is nothing to add up and to claim."""
    if values["period"] != EACH:
        return {}
    (first, *more) = values["steps"]
    once = not more and first["target"] == 1 and first["counts"] != "purchase_amount"
    if once and values["automatic"]:
        return {}
    return {"period": ["each is for one step with target 1, given by itself"]}


def _steps(values: Mapping[str, Any]) -> dict[str, list[str]]:
    steps = values["steps"]
    if len({step["code"] for step in steps}) < len(steps):
        return {"steps": ["each code once"]}
    if values["ordered"] and len(steps) == 1:
        return {"ordered": ["one step has no order"]}
    for step in steps:
        for name in sorted(only_of(step)):
            if step["counts"] not in ALLOWED[name]:
                return {"steps": [f"{step['code']}: {name} says nothing of {step['counts']}"]}
        if step["counts"] == "profile_completed" and step["target"] > 1:
            return {"steps": [f"{step['code']}: a profile is completed once"]}
    for name, column in NAMES.items():
        if not _there(column, {each for step in steps for each in only_of(step).get(name, ())}):
            return {"steps": [f"{name}: not all of them are there"]}
    return {}


def only_of(step: Mapping[str, Any]) -> dict[str, Any]:
    """What a step is restricted to; what is empty restricts nothing."""
    return {name: value for name, value in step.get("only", {}).items() if value}


def _there(column: Any, wanted: set[Any]) -> bool:
    found = read(sa.select(column).where(column.in_(wanted))) if wanted else []
    return {row[0] for row in found} == wanted


def check_codes(task_id: int, steps: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a step's code that counted something else in another version: progress would mix."""
    version = table_of(TaskVersion).c
    known = sa.select(version.steps).where(
        version.task_id == task_id, version.published_at.is_not(None)
    )
    before = {step["code"]: step["counts"] for row in read(known) for step in row.steps}
    for step in steps:
        counts = before.get(step["code"], step["counts"])
        if counts != step["counts"]:
            raise StepChanged(step=step["code"], counts=counts)
