"""The rewards of gifts: redemptions for no points, whose units leave the shelf like any others."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import limits, rewards, vouchers
from mall.atomic import atomic
from mall.events import UnitsGiven, record_many
from mall.guards import stock
from mall.guards.client import RedisError
from mall.limits import Take
from mall.vouchers import Issue
from models import Redemption, Reward
from models.base import insert

PERIOD = "gift"  # its units count towards nobody's limit


@dataclass(frozen=True)
class Unit:
    """So many of a reward for a member, by a gift."""

    member_id: int
    reward_id: int
    quantity: int
    gift_id: int

    @property
    def request_key(self) -> str:
        return f"gift:{self.gift_id}:{self.reward_id}"


def lock_shelf(reward_ids: Iterable[int]) -> dict[int, Any]:
    """Rewards, locked ascending, with the units they have left for gifts: none where a store has them.

    Whoever is given something has chosen no store.
    """
    wanted = set(reward_ids)
    if not wanted:
        return {}
    left = sa.case((Reward.stock_by_store, 0), else_=Reward.units_left).label("units_left")
    columns = (Reward.id, Reward.title, left, Reward.published, Reward.epoch)
    query = (
        sa.select(*columns, Reward.voucher_lasts_days)
        .where(Reward.id.in_(wanted))
        .order_by(Reward.id)
        .with_for_update(key_share=True)
    )
    with atomic() as transaction:
        return {row.id: row for row in transaction.execute(query)}


def hand_out(units: Sequence[Unit], shelf: dict[int, Any], now: datetime) -> None:
    """Write redemptions and vouchers of units that are there, and take them off the shelf."""
    if not units:
        return
    with atomic() as transaction:
        statement = insert(Redemption).returning(Redemption.id, sort_by_parameter_order=True)
        ids = list(transaction.execute(statement, [_row(unit, now) for unit in units]).scalars())
        traded = list(zip(ids, units, strict=True))
        limits.take_many(_takes(units))
        issues = [_issue(id_, unit, shelf[unit.reward_id]) for id_, unit in traded]
        vouchers.issue_many(issues, now=now)
        facts = [_fact(id_, unit, shelf[unit.reward_id].epoch) for id_, unit in traded]
        record_many(facts, now=now)
        rewards.take_many(_sum(units))
        transaction.after_commit(lambda: _tell_gates(facts))


def _row(unit: Unit, now: datetime) -> dict[str, Any]:
    return {
        "member_id": unit.member_id,
        "reward_id": unit.reward_id,
        "request_key": unit.request_key,
        "quantity": unit.quantity,
        "points_paid": 0,
        "period": PERIOD,
        "state": "issued",
        "created_at": now,
    }


def _takes(units: Sequence[Unit]) -> list[Take]:
    taken: Counter[tuple[int, int]] = Counter()
    for unit in units:
        taken[unit.member_id, unit.reward_id] += unit.quantity
    return [Take(member, reward, PERIOD, n, None) for (member, reward), n in taken.items()]


def _sum(units: Sequence[Unit]) -> Counter[int]:
    quantities: Counter[int] = Counter()
    for unit in units:
        quantities[unit.reward_id] += unit.quantity
    return quantities


def _issue(redemption_id: int, unit: Unit, reward: Any) -> Issue:
    return Issue(
        member_id=unit.member_id,
        redemption_id=redemption_id,
        title=reward.title,
        quantity=unit.quantity,
        store_id=None,
        lasts_days=reward.voucher_lasts_days,
    )


def _fact(redemption_id: int, unit: Unit, epoch: int) -> UnitsGiven:
    return UnitsGiven(unit.member_id, redemption_id, unit.reward_id, unit.quantity, epoch)


def _tell_gates(facts: Iterable[UnitsGiven]) -> None:
    for fact in facts:
        tell_gate(fact)


def tell_gate(fact: UnitsGiven) -> None:
    """Let the gate know of units that left past it; told again by the worker, it counts once."""
    try:
        stock.put_back(
            fact.reward_id,
            member_id=fact.member_id,
            quantity=-fact.quantity,
            period=PERIOD,
            operation=f"gift:{fact.redemption_id}",
            epoch=fact.epoch,
        )
    except RedisError:
        return  # the worker tells it later
