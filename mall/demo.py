"""The demo shop: two stores, staff with known passwords, a shelf of rewards. With the sandbox only."""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import bundles, messages, rewards, shop, staff, stores, tasks
from mall.atomic import atomic
from mall.idempotency import Key
from models import Reward, Store, db

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


WORDS: dict[str, tuple[str, str, str, str]] = {
    "welcome": (
        "欢迎加入",
        "{nickname}，你好！你已成为{tier_name}，每日签到、消费都能攒积分。",
        "Welcome",
        "Hello {nickname}, you are a {tier_name} now. Sign in daily and earn points on every purchase.",
    ),
    "thanks": (
        "谢谢光临",
        "本次在{store_name}消费{amount_yuan}元，获得{points}积分，现有{balance}积分。",
        "Thank you",
        "¥{amount_yuan} at {store_name} earned you {points} points. You have {balance} now.",
    ),
    "birthday": (
        "生日快乐",
        "{nickname}，生日快乐！{gift_name}已放入你的卡包。",
        "Happy birthday",
        "Happy birthday, {nickname}! Your gift is waiting: {gift_name}.",
    ),
    "tier_up": (
        "恭喜升级",
        "{nickname}，你已从{tier_before_name}升为{tier_name}，新权益即刻可用。",
        "Congratulations",
        "{nickname}, you rose from {tier_before_name} to {tier_name}. New benefits are yours at once.",
    ),
    "points_expiring": (
        "积分即将到期",
        "你有{points}积分将于{expires_on}到期，去积分商城看看吧。",
        "Points end soon",
        "{points} of your points end on {expires_on}. See what they buy in the mall.",
    ),
}


TASKS: tuple[tuple[str, str, str, str, str, int, dict[str, Any]], ...] = (
    # code, period, title, in English, what it counts, target, what else it says
    ("daily", "daily", "每日签到", "Sign in daily", "check_in", 1, {"points": 2}),
    ("week", "weekly", "一周到店三次", "Three visits a week", "visit", 3, {"points": 30}),
    (
        "profile",
        "once",
        "完善资料",
        "Complete your profile",
        "profile_completed",
        1,
        {"points": 20},
    ),
    (
        *("newcomer", "once", "新手礼：7天内首次消费", "First purchase in 7 days"),
        *("purchase_count", 1, {"points": 50, "audience": {"new_member_days": 7}}),
    ),
    (
        "friend",
        "monthly",
        "好友首次消费",
        "A friend's purchase",
        "friend_bought",
        1,
        {"points": 50},
    ),
    (
        *("review", "each", "评价已购商品", "Review what you bought", "review_approved", 1),
        {"points": 10, "automatic": True},
    ),
    (
        *("thousand", "monthly", "本月消费满1000元送咖啡", "A coffee for ¥1000 a month"),
        *("purchase_amount", 100_000, {"bundle_code": "coffee"}),
    ),
)


def fill(*, now: datetime) -> bool:
    """Fill an empty shop with the demonstration; False where it has been filled already."""
    if db.session.scalar(sa.select(Store.id).limit(1)) is not None:
        return False
    with atomic():
        shop.tune("demo", True)
        shop.tune("shop_name", "满月生活馆（演示）")
        shop.tune("referral_hold_days", 0)
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
        _write_tasks(staff_id=hired[0], now=now)
        for occasion, words in WORDS.items():
            _write(occasion, words, staff_id=hired[0], now=now)
    return True


def _write_tasks(*, staff_id: int, now: datetime) -> None:
    coffee = db.session.scalars(sa.select(Reward.id).where(Reward.title == REWARDS[0]["title"]))
    gift = {"points": 0, "growth_value": 0, "rewards": [{"reward_id": coffee.one(), "quantity": 1}]}
    parts = {"code": "coffee", "name": "手冲咖啡一杯", "benefits": [], **gift}
    bundles.publish(parts, staff_id=staff_id, key=_key("bundle"), now=now)
    blank = {
        **{"ordered": False, "audience": {}, "starts_on": None, "ends_on": None},
        **{"points": 0, "bundle_code": "", "automatic": False},
    }
    for sort, (code, period, title, title_en, counts, target, more) in enumerate(TASKS):
        names = {"code": code, "title": title, "title_en": title_en}
        step = {**names, "counts": counts, "target": target}
        values = {**blank, **names, "period": period, "steps": [step], "sort": sort, **more}
        tasks.write(values, publish=True, staff_id=staff_id, key=_key("task"), now=now)


def _write(occasion: str, words: tuple[str, ...], *, staff_id: int, now: datetime) -> None:
    texts = dict(zip(messages.TEXTS, words, strict=True))
    values = {"occasion": occasion, "is_on": True, **texts}
    drafted = messages.draft(values, staff_id=staff_id, key=_key("template"), now=now)
    id_ = json.loads(drafted.body)["id"]
    messages.publish(id_, staff_id=staff_id, key=_key("template"), now=now)


def _stock(fields: dict[str, Any], *, staff_id: int, now: datetime) -> None:
    units = fields.pop("units")
    reward = rewards.add(fields, now=now)
    move = {"quantity": units, "reason": "purchase", "note": "开业备货", "unit_cost_fen": None}
    rewards.move_stock(reward.id, move, staff_id=staff_id, key=_key("stock"), now=now)


def _key(route: str) -> Key:
    return Key(caller="system", route=route, text=None)
