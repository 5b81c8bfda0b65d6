"""The demo shop: two stores, staff with known passwords, a shelf of rewards. With the sandbox only."""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import bundles, channels, messages, referrals, rewards, shop, staff, stores, tasks
from mall.atomic import atomic
from mall.demo.friends import CHANNELS, GIFT, INVITING
from mall.demo.shelf import REWARDS
from mall.demo.todo import TASKS
from mall.demo.words import WORDS
from mall.idempotency import Key
from models import Reward, Store, db

STORES = (("A", "人民广场店", "人民广场 1 号"), ("B", "滨江店", "滨江大道 88 号"))
STAFF = (
    ("admin", "陈经理", "admin", None),
    ("owner", "周老板", "owner", None),
    ("clerk-a", "李小满", "clerk", "A"),
    ("clerk-b", "王立夏", "clerk", "B"),
)


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
            _stock({**reward, "sort": sort}, by_code, staff_id=hired[0], now=now)
        for occasion, words in WORDS.items():
            _write(occasion, words, staff_id=hired[0], now=now)
        _write_tasks(staff_id=hired[0], now=now)
        _invite(by_code["A"], staff_id=hired[0], now=now)
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


def _stock(
    fields: dict[str, Any], store_ids: dict[str, int], *, staff_id: int, now: datetime
) -> None:
    """Put a reward on the shelf; its units are a number, or one for each store by its code."""
    units = fields.pop("units")
    reward = rewards.add(fields, now=now)
    stamp: dict[str, Any] = {"staff_id": staff_id, "key": _key("stock"), "now": now}
    for code, quantity in units.items() if isinstance(units, dict) else [("", units)]:
        move = {
            "quantity": quantity,
            "reason": "purchase",
            "note": "开业备货",
            "unit_cost_fen": None,
        }
        rewards.move_stock(reward.id, move, store_id=store_ids.get(code), **stamp)


def _key(route: str) -> Key:
    return Key(caller="system", route=route, text=None)
