"""Callers by role, and a shop in which every list has rows."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from werkzeug.test import TestResponse

from mall import bundles, clock, points
from mall.atomic import atomic
from mall.bundles import Gift
from tests.blueprints.routes import POLICY, TASK
from tests.caller import Caller
from tests.makers import grant

STAFF = {
    "clerk": "clerk-a",
    "manager": "manager-a",
    "admin": "admin",
    "owner": "owner",
    "analyst": "analyst",
}
VISIT = {"code": "visit", "title": "到店", "title_en": "Visit", "counts": "visit"}
ROLES = ("nobody", "shopper", *STAFF)
PATIENCE_S = 60


@pytest.fixture
def as_role(anybody, as_shopper, as_staff) -> Callable[[str], Caller]:
    """Somebody of a role; `nobody` has no token."""

    @cache
    def call_as(role: str) -> Caller:
        if role == "nobody":
            return anybody
        return as_shopper("somebody") if role == "shopper" else as_staff(STAFF[role])

    return call_as


@pytest.fixture
def grant_points(app) -> Callable[[Caller, int], None]:
    """Give a shopper points that last a year."""

    def give(shopper: Caller, points: int) -> None:
        grant(shopper.id, points)

    return give


@pytest.fixture
def redeem() -> Callable[..., Any]:
    """Trade points for a reward; answers the redemption."""

    def trade(shopper: Caller, reward: Any, **more: Any) -> Any:
        answer = shopper.post("/me/redemptions", {"reward_id": reward.id, "quantity": 1, **more})
        assert answer.status_code == 201, answer.json
        return answer.json

    return trade


@pytest.fixture
def mid_month(app) -> None:
    """A day on which the last two can still be made up: only days of this month can."""
    if clock.business_day(clock.now()).day < 3:
        app.config["CLOCK_OFFSET_S"] = 2 * 86_400


@pytest.fixture
def busy_shop(as_shopper, as_staff, a_reward, redeem) -> dict[str, Any]:
    """A shop in which every list has three rows or more; answers who and what is in it."""
    shopper, admin, clerk = as_shopper("busy"), as_staff("admin"), as_staff("clerk-a")
    code = shopper.get("/me/referral").json["invite_code"]
    friends = [as_shopper(f"friend-{n}", invite_code=code) for n in range(3)]
    for _ in range(3):
        grant(shopper.id, 400)
    rewards = [a_reward(price_points=10) for _ in range(3)]
    redemptions = [redeem(shopper, reward) for reward in rewards]
    path = f"/admin/members/{shopper.id}/points-adjustments"
    change = {"points": 100_001, "reason": "补偿"}
    adjustments = [admin.post(path, change).json for _ in range(3)]
    for _ in range(3):
        admin.post("/admin/policies", POLICY)
    admin.post("/admin/stores", {"code": "C", "name": "C店"})
    by_store = f"/admin/rewards/{a_reward(units=0, stock_by_store=True).id}"
    for store in admin.get("/admin/stores").json["items"]:
        move = {"quantity": 5, "reason": "purchase", "store_id": store["id"]}
        admin.post(f"{by_store}/stock-moves", move)
    today = clock.business_day(clock.now())
    for n in (1, 2, 3):
        admin.post("/admin/outages", {"day": str(today - timedelta(days=n)), "note": "断电"})
    reviews: list[Any] = []
    tasks: list[Any] = []
    for n in (1, 2, 3):
        admin.post("/admin/bundles", {"code": "gift", "name": "礼包", "points": n})
        _give(shopper.id, f"busy-{n}")
        receipt = {"member_id": shopper.id, "receipt_no": f"busy-{n}", "amount_fen": 100}
        bought = clerk.post("/clerk/purchases", receipt).json["id"]
        review = {"purchase_id": bought, "rating": n, "text": "味道不错，下次还会再来"}
        reviews.append(shopper.post("/me/reviews", review).json)
        task = {**TASK, "code": f"task-{n}", "steps": [VISIT], "publish": n == 2}
        tasks.append(admin.post("/admin/tasks", task).json)
        campaign = {"name": f"关怀{n}", "points": n, "budget_points": 100}
        admin.post("/admin/points-campaigns", campaign)
        shopper.patch("/me", {"city": f"{n}市"})
        admin.post("/admin/referral-rules", {"terms": {}, "note": f"第 {n} 版"})
        channel = {"code": f"channel-{n}", "name": f"渠道{n}", "kind": "online"}
        admin.post("/admin/channels", channel)
        admin.post("/admin/settings/shop_name", {"value": f"{n}号店"})
    return {
        "shopper": shopper,
        "admin": admin,
        "clerk": clerk,
        "friends": friends,
        "rewards": rewards,
        "redemptions": redemptions,
        "adjustments": adjustments,
        "reviews": reviews,
        "tasks": tasks,
        "invite_code": code,
    }


def _give(member_id: int, ref_id: str) -> None:
    now = clock.now()
    with atomic():
        book = points.open_book([member_id], now=now)
        bundles.give_many([Gift(member_id, "gift", "test", ref_id)], book=book, now=now)
        book.write()


@pytest.fixture
def at_once() -> Callable[..., list[TestResponse]]:
    """What each of some calls is answered when all of them start at the same moment."""

    def start(calls: list[Callable[[], TestResponse]]) -> list[TestResponse]:
        gate = threading.Barrier(len(calls))

        def run(call: Callable[[], TestResponse]) -> TestResponse:
            gate.wait(PATIENCE_S)
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))

    return start
