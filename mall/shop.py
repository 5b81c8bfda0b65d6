"""The shop's own numbers: rows a shopkeeper tunes, with the defaults a new shop opens with."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from models import (
    CheckInLadder,
    CheckInRule,
    EarningRule,
    ExpiryPolicy,
    ReferralRule,
    SettingChange,
    ShopSetting,
    Tier,
    TierRule,
)
from models.base import db, insert

DEFAULTS: dict[str, Any] = {
    "shop_name": "会员运营中心",
    "demo": False,  # filled with the demonstration: known passwords, never for real customers
    "adjustment_limit_points": 100_000,
    "give_back_grace_days": 7,
    "take_back_from_other_lots": True,  # else what a refund can't take from its own lot is owed
    "refund_shortfall": "debt",  # what a refund finds spent: debt, or forgive
    "transfer_points_per_day": 0,  # what a member may give others in a day; 0: nothing
    "hold_lasts_hours": 72,
    "point_cost_fen_per_100": 100,  # what a hundred points cost the shop, for previews
    "welcome_bundle": "",  # the code of what a newcomer is given; empty: nothing
    "birthday_bundles": {},  # what a member of a tier is given; "" for every other tier
    "birthday_window": "day",  # when: the day itself, its week or its month
    "multiplier_stacking": "max",  # of multipliers that meet: max, sum or product
    "make_up_window_days": 7,
    "make_ups_per_month": 3,
    "make_up_price_points": 20,
    "profile_fields": ["nickname", "gender", "birthday", "phone", "city"],  # a complete profile
    "review_min_chars": 10,  # how long a review is at least, blanks not counted
    "vouchers_at_any_store": False,  # else one bound to a store is handed over only there
    "rejoin_after_days": 30,  # who closed their account may join anew after so long
    "admin_idle_minutes": 30,  # after so long unused a session of the console is over
    "second_factor_required": False,  # of all who may enter the console
    "undo_window_minutes": 30,  # how long a clerk can undo what they did; the manager always can
}
TIERS = (
    ("base", "普通会员", 0),
    ("silver", "银卡会员", 1000),
    ("gold", "金卡会员", 5000),
    ("diamond", "钻石会员", 20_000),
)
LADDER = ((1, 5, 0), (2, 5, 0), (3, 10, 0), (4, 10, 0), (5, 15, 0), (6, 15, 0), (7, 20, 50))


def setting(name: str) -> Any:
    """A setting's value: the shop's row, else the default."""
    row = db.session.get(ShopSetting, name)
    return DEFAULTS[name] if row is None else row.value


def version_of(name: str) -> int:
    """Which version of a setting is in force; 0 is the default that a shop opens with."""
    row = db.session.get(ShopSetting, name)
    return 0 if row is None else row.version


def tune(name: str, value: Any, *, staff_id: int | None = None, now: datetime | None = None) -> int:
    """Give a setting the shop's own value; answers its version, which entries will name."""
    assert name in DEFAULTS, name
    statement = insert(ShopSetting).values(name=name, value=value, version=1)
    with atomic() as transaction:
        changed = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"value": statement.excluded.value, "version": ShopSetting.version + 1},
        )
        version: int = transaction.execute(changed.returning(ShopSetting.version)).scalar_one()
        change = {"name": name, "version": version, "value": value, "changed_by": staff_id}
        row = {**change, "changed_at": now or clock.now()}
        transaction.execute(insert(SettingChange).values(**row))
    return version


def open_shop(*, now: datetime) -> None:
    """Give a new shop the rows it can't be without: tiers, a sign-in ladder, rules of earning and expiry."""
    with atomic() as transaction:
        for code, name, growth_min in TIERS:
            _add(Tier, code=code, name=name, growth_min=growth_min)
        if transaction.execute(sa.select(CheckInLadder.version)).first() is None:
            _add(CheckInLadder, version=1, published_at=now)
            for day, points, bonus in LADDER:
                _add(CheckInRule, version=1, streak_day=day, points=points, bonus_points=bonus)
        _add(
            EarningRule,
            code="purchase",
            version=1,
            name="消费积分",
            kind="base",
            trigger_kind="purchase",
            priority=0,
            active=True,
            terms={"rate": {"points": 1, "per_fen": 100, "rounding": "full_units"}},
            created_at=now,
            published_at=now,
        )
        _add(ExpiryPolicy, **_first_expiry_policy(now))
        _add(TierRule, **_first_tier_rules(now))
        _add(ReferralRule, **_first_referral_rule(now))


def _first_expiry_policy(now: datetime) -> dict[str, Any]:
    """Points live twelve months, to the end of that month."""
    terms = {"kind": "rolling", "lasts": 12, "unit": "month", "round_up_to": "month"}
    rest = {"by_tier": {}, "remind_days": [30, 7, 1], "note": "", "published_at": now}
    return {"version": 1, "terms": terms, **rest}


def _first_tier_rules(now: datetime) -> dict[str, Any]:
    """A point of growth a yuan, counted for ever, reviewed never."""
    growth = {"growth_per_yuan": 1, "growth_per_visit": 0, "min_amount_fen": 0, "activities": []}
    parts = ("spend", "visit", "activity")
    weights = {f"{part}_weight_percent": 100 for part in parts}
    window = {"window_kind": "ever", "window_days": 365, "grace_days": 0}
    rest = {"review_policy": "one_step", "recount": False, "thresholds": {}, "note": ""}
    moments = ("created_at", "published_at", "effective_at", "applied_at", "settled_at")
    marks = {"version": 1, "after_member_id": 0, **dict.fromkeys(moments, now)}
    return {**growth, **weights, **window, **rest, **marks}


def _first_referral_rule(now: datetime) -> dict[str, Any]:
    """A hundred points for who invites and fifty for the friend, a week after the first purchase."""
    nothing = {"points": 0, "bundle": ""}
    paid = {"inviter": {"points": 100, "bundle": ""}, "friend": {"points": 50, "bundle": ""}}
    holds = {
        "device_joins_per_day": 2,
        "address_joins_per_hour": 60,
        "inviter_joins_per_hour": 20,
        "keep_days": 30,
    }
    terms = {
        "join": {"inviter": nothing, "friend": nothing, "pending_days": 0},
        "purchase": {**paid, "pending_days": 7, "min_amount_fen": 0},
        "ladder": [],
        "caps": {"per_day": None, "for_life": None},
        "attribution_days": 30,
        "holds": holds,
    }
    return {"version": 1, "terms": terms, "note": "", "created_at": now, "published_at": now}


def _add(model: Any, **values: Any) -> None:
    with atomic() as transaction:
        transaction.execute(insert(model).values(**values).on_conflict_do_nothing())
