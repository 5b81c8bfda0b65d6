"""The demo shop: two stores, staff with known passwords, a shelf of rewards. With the sandbox only."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import bundles, channels, referrals, rewards, shop, staff, stores
from mall.atomic import atomic
from mall.idempotency import Key
from models import Store, db

STORES = (("A", "人民广场店", "人民广场 1 号"), ("B", "滨江店", "滨江大道 88 号"))
STAFF = (
    ("admin", "陈经理", "admin", None),
    ("owner", "周老板", "owner", None),
    ("clerk-a", "李小满", "clerk", "A"),
    ("clerk-b", "王立夏", "clerk", "B"),
)
REWARDS: tuple[dict[str, Any], ...] = (
    {
        "title": "手冲咖啡一杯",
        "kind": "pickup",
        "price_points": 30,
        "category": "饮品",
        "units": 200,
        "per_member_limit": 5,
    },
    {
        "title": "帆布托特包",
        "kind": "pickup",
        "price_points": 120,
        "category": "周边",
        "units": 50,
        "per_member_limit": 2,
    },
    {
        "title": "满100减20优惠券",
        "kind": "coupon",
        "price_points": 80,
        "category": "优惠券",
        "units": 500,
    },
    {
        "title": "手账本礼盒",
        "kind": "delivery",
        "price_points": 300,
        "category": "周边",
        "units": 30,
        "per_member_limit": 1,
    },
    {
        "title": "银卡专享保温杯",
        "kind": "pickup",
        "price_points": 500,
        "category": "周边",
        "units": 20,
        "tier_min": "silver",
    },
    {
        "title": "免费停车2小时",
        "kind": "virtual",
        "price_points": 50,
        "category": "服务",
        "units": 100,
    },
    {
        "title": "限量生肖公仔",
        "kind": "pickup",
        "price_points": 200,
        "category": "限量",
        "units": 10,
        "per_member_limit": 1,
        "hot": True,
    },
)


GIFT = {"code": "store-welcome", "name": "到店礼", "points": 10, "growth_value": 0}
CHANNELS: tuple[dict[str, Any], ...] = (
    {"code": "poster", "name": "朋友圈海报", "kind": "online", "cost_fen": 50_000, "owner": "小王"},
    {"code": "gym", "name": "隔壁健身房", "kind": "partner", "cost_fen": 20_000, "owner": "小李"},
    {"code": "store-a", "name": "人民广场店桌牌", "kind": "store", "cost_fen": 0, "owner": "店长"},
)
NOTHING = {"points": 0, "bundle": ""}
INVITING: dict[str, Any] = {  # paid at once, so that a visitor sees it
    "join": {"inviter": NOTHING, "friend": NOTHING, "pending_days": 0},
    "purchase": {
        "inviter": {"points": 100, "bundle": ""},
        "friend": {"points": 50, "bundle": ""},
        "pending_days": 0,
        "min_amount_fen": 0,
    },
    "ladder": [{"friends": 3, "points": 100, "bundle": ""}],
    "caps": {"per_day": 20, "for_life": None},
    "attribution_days": 30,
    "holds": {
        "device_joins_per_day": 2,
        "address_joins_per_hour": 600,
        "inviter_joins_per_hour": 100,
        "keep_days": 30,
    },
}


def fill(*, now: datetime) -> bool:
    """Fill an empty shop with the demonstration; False where it has been filled already."""
    if db.session.scalar(sa.select(Store.id).limit(1)) is not None:
        return False
    with atomic():
        shop.tune("demo", True)
        shop.tune("shop_name", "满月生活馆（演示）")
        shop.tune("transfer_points_per_day", 1000)
        for code, name, address in STORES:
            stores.open_store(code=code, name=name, address=address, key=_key("store"), now=now)
        by_code = stores.ids_by_code([code for code, _, _ in STORES], now=now)
        hired = [
            staff.hire(
                username=username,
                name=name,
                password=f"demo-{username}",
                role=role,
                store_id=by_code.get(at or ""),
                now=now,
            )
            for username, name, role, at in STAFF
        ]
        for sort, reward in enumerate(REWARDS):
            _stock({**reward, "sort": sort}, staff_id=hired[0], now=now)
        _invite(by_code["A"], staff_id=hired[0], now=now)
    return True


def _invite(store_id: int, *, staff_id: int, now: datetime) -> None:
    """What invitations pay, channels, and a store's code that gives something at once."""
    who: dict[str, Any] = {"staff_id": staff_id, "now": now}
    referrals.write(INVITING, note="演示", publish=True, key=_key("rule"), **who)
    bundles.publish({**GIFT, "rewards": [], "benefits": []}, key=_key("bundle"), **who)
    for channel in CHANNELS:
        of_store = channel["kind"] == "store"
        more = {
            "store_id": store_id if of_store else None,
            "bundle_code": GIFT["code"] if of_store else "",
            "starts_on": None,
            "ends_on": None,
        }
        channels.open_channel({**channel, **more}, key=_key("channel"), **who)


def _stock(fields: dict[str, Any], *, staff_id: int, now: datetime) -> None:
    units = fields.pop("units")
    reward = rewards.add(fields, now=now)
    move = {"quantity": units, "reason": "purchase", "note": "开业备货", "unit_cost_fen": None}
    rewards.move_stock(reward.id, move, staff_id=staff_id, key=_key("stock"), now=now)


def _key(route: str) -> Key:
    return Key(caller="system", route=route, text=None)
