"""Settings, as an admin tunes them: each with its kind and bounds, each change kept."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, members, shop
from mall.atomic import atomic
from mall.errors import Malformed, NotFound
from mall.idempotency import Answer, Key
from models import Bundle, SettingChange, ShopSetting, Tier, db

POINTS = 10**9
LONGEST_DAYS = 3_650
LONGEST_UNDO_MINUTES = 7 * 24 * 60


@dataclass(frozen=True)
class Bounds:
    """What a setting may be, in words a person understands, and the test of it."""

    says: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int) -> Bounds:
    def holds(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return Bounds(f"a whole number from {low} to {high}", holds)


def one_of(*values: str) -> Bounds:
    return Bounds(f"one of {', '.join(values)}", lambda value: value in values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value.strip()) <= 32


def _is_bundle(value: Any) -> bool:
    return value == "" or (isinstance(value, str) and _known(Bundle.code, {value}))


def _are_bundles(value: Any) -> bool:
    """By tier; an empty tier's name stands for those that are not named."""
    if not isinstance(value, dict) or not all(isinstance(code, str) for code in value.values()):
        return False
    return _known(Bundle.code, set(value.values())) and _known(Tier.code, set(value) - {""})


def _are_fields(value: Any) -> bool:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return False
    return len(set(value)) == len(value) and set(value) <= set(members.PROFILE_FIELDS)


def _known(column: Any, wanted: set[str]) -> bool:
    with atomic() as transaction:
        found = transaction.execute(sa.select(column).where(column.in_(wanted))).scalars()
        return set(found) == wanted


YES_OR_NO = Bounds("true or false", lambda value: isinstance(value, bool))
BOUNDS: dict[str, Bounds] = {
    "shop_name": Bounds("a name of at most 32 characters", _is_text),
    "adjustment_limit_points": whole(0, POINTS),
    "give_back_grace_days": whole(0, 365),
    "take_back_from_other_lots": YES_OR_NO,
    "refund_shortfall": one_of("debt", "forgive"),
    "transfer_points_per_day": whole(0, POINTS),
    "hold_lasts_hours": whole(1, 2_160),
    "point_cost_fen_per_100": whole(0, 10**6),
    "multiplier_stacking": one_of("max", "sum", "product"),
    "make_up_window_days": whole(0, 31),
    "make_ups_per_month": whole(0, 31),
    "make_up_price_points": whole(0, POINTS),
    "welcome_bundle": Bounds("a bundle's code, or nothing", _is_bundle),
    "birthday_bundles": Bounds("bundles' codes by tier", _are_bundles),
    "birthday_window": one_of("day", "week", "month"),
    "vouchers_at_any_store": YES_OR_NO,
    "rejoin_after_days": whole(0, LONGEST_DAYS),
    "admin_idle_minutes": whole(5, 720),
    "second_factor_required": YES_OR_NO,
    "undo_window_minutes": whole(0, LONGEST_UNDO_MINUTES),
    "review_min_chars": whole(0, 200),
    "profile_fields": Bounds("each once of " + ", ".join(members.PROFILE_FIELDS), _are_fields),
}


def change(name: str, value: Any, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Give a setting another value, from this moment on; what was done before keeps its version."""
    with atomic():
        key.claim(now=now)
        if name not in BOUNDS:
            raise NotFound()
        if not BOUNDS[name].holds(value):
            raise Malformed(errors={"value": [BOUNDS[name].says]})
        version = shop.tune(name, value, staff_id=staff_id, now=now)
        return key.store(200, _view(name, value, version))


def views() -> list[dict[str, Any]]:
    """Every setting that can be tuned, with its value, its bounds and the version in force."""
    own = {row.name: row for row in db.session.scalars(sa.select(ShopSetting))}
    return [
        _view(name, own[name].value, own[name].version)
        if name in own
        else _view(name, shop.DEFAULTS[name], 0)
        for name in BOUNDS
    ]


def _view(name: str, value: Any, version: int) -> dict[str, Any]:
    named = {"name": name, "value": value, "version": version}
    return {**named, "default": shop.DEFAULTS[name], "may_be": BOUNDS[name].says}


def changes(name: str | None = None) -> sa.Select[Any]:
    """The versions of one setting, or of all."""
    query = sa.select(SettingChange)
    return query if name is None else query.where(SettingChange.name == name)


def change_view(change: SettingChange) -> dict[str, Any]:
    at = change.changed_at
    return {
        "id": change.id,
        "name": change.name,
        "version": change.version,
        "value": change.value,
        "changed_by": change.changed_by,
        "changed_at": clock.rfc3339(at) if at else None,
    }
