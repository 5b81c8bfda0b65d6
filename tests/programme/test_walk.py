"""Whatever happens in whatever order: balances, lots, growth, tiers and tasks are as a model has them."""

import os
import secrets

import pytest

from mall import checkins, clock, earning, tiers
from tests.makers import a_key, points_live
from tests.mall.books import wrong
from tests.mall.task_books import TaskBooks, a_step
from tests.mall.tier_books import day
from tests.programme.model import (
    CAP_POINTS,
    EXTRA_PERCENT,
    FEN_PER_POINT,
    SIGN_POINTS,
    ModelTask,
)
from tests.programme.walk import MEMBERS, Walk

OPERATIONS = int(os.environ.get("PROGRAMME_OPERATIONS", "300"))
SEED = os.environ.get("PROGRAMME_SEED")
OPENS = day("2027-01-04")  # a Monday
LOOK_EVERY = 10
TASKS = (  # period, what counts, target, points, automatic
    ("daily", "purchase_count", 2, 4, True),
    ("monthly", "purchase_amount", 150_000, 25, True),
    ("weekly", "check_in", 2, 9, False),
    ("monthly", "redemption", 2, 7, False),
)


@pytest.fixture
def walk(a_member, a_reward, stores, hired, tune):
    """A walk that has opened its shop; answers how to begin it with a seed."""
    points_live(kind="rolling", lasts=30, unit="day", round_up_to="day")
    tune("undo_window_minutes", 30)
    ladder = [{"points": SIGN_POINTS, "bonus_points": 0}]
    checkins.publish(ladder, staff_id=hired["admin"], key=a_key(route="ladder"), now=OPENS)
    _reward_tiers_and_cap_the_day(hired["admin"])

    def begin(seed):
        reward = a_reward(units=10**6, price_points=40, voucher_lasts_days=3_650)
        members = [a_member() for _ in range(MEMBERS)]
        walk = Walk(seed, members, OPENS, (stores["A"], hired["clerk-a"]), reward.id)
        books = TaskBooks(stores, hired)
        for number, (period, counts, target, points, automatic) in enumerate(TASKS):
            told = {"period": period, "points": points, "automatic": automatic, "at": OPENS}
            task = books.publish(a_step(counts, target), code=f"t{number}", **told)
            model = ModelTask(task, counts, target, points, automatic, period)
            walk.tasks.append(model)
        return walk

    return begin


def _reward_tiers_and_cap_the_day(admin):
    for code, extra in EXTRA_PERCENT.items():
        version = tiers.perks.find(code)["version"]
        more = {"points_percent": 100 + extra}
        tiers.perks.change(code, more, version=version, staff_id=admin, now=OPENS)
    rate = {"points": 1, "per_fen": FEN_PER_POINT, "rounding": "full_units"}
    rule = {"code": "purchase", "name": "消费积分", "kind": "base", "trigger": "purchase"}
    capped = {**rule, "priority": 0, "active": True, "rate": rate, "caps": {"day": CAP_POINTS}}
    earning.write(capped, publish=True, staff_id=admin, key=a_key(route="rules"), now=OPENS)


@pytest.mark.covers("B1", "B2", "C3", "D9")
def test_operations_at_random_leave_what_the_model_has(walk):
    seed = int(SEED or secrets.randbelow(10**9))
    print(f"PROGRAMME_SEED={seed} repeats this walk of {OPERATIONS} operations")
    shop = walk(seed)

    shop.run(OPERATIONS, LOOK_EVERY)

    assert shop.count_trades() >= 0 and wrong() == []
    assert {name.partition(" ")[0] for name in shop.count} >= {"buys", "refunds", "time_passes"}
    assert clock.business_day(shop.now) > clock.business_day(OPENS)
