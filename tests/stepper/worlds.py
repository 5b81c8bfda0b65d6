"""A fresh reward and fresh members for each schedule, and what can be asked of them."""

import itertools
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, gates, idempotency, jobs, redemptions, rewards
from mall.atomic import atomic
from mall.idempotency import Key
from mall.redemptions import Request
from models import Account, Event, LedgerEntry, Lot, Member, Redemption, Reward, StockMove, db
from models.base import insert
from tests.stepper.history import Attempt, History

PRICE_POINTS = 10
CANCEL_ROUTE = "POST /api/v1/me/redemptions/<id:redemption_id>/cancellation"
MOVE_ROUTE = "POST /api/v1/admin/rewards/<id:reward_id>/stock-moves"
SHORT_LIVED, LONG_LIVED = timedelta(hours=12), timedelta(days=300)
_run, _count = secrets.token_hex(4), itertools.count(1)


@dataclass(frozen=True)
class Shape:
    """How big a world is."""

    units: int
    funds: tuple[int, ...]  # of each member: what they could pay for
    limit: int | None = None
    hot: bool = False
    gate: bool = True


@dataclass
class World:
    """One reward, its members, and the requests they have made."""

    reward_id: int
    members: list[int]
    history: History
    last_event: int = 0  # before this world was made
    requests: dict[str, Any] = field(default_factory=dict)
    keys: int = 0

    def key(self, caller: str, route: str) -> Key:
        self.keys += 1
        return Key(caller, route, f"step-{self.reward_id}-{self.keys}", "same")

    # requests: each is kept under its key, so that it can be sent again

    def wants(self, member: int, quantity: int = 1) -> Request:
        """A member's wish for units, with its key."""
        who = self.members[member % len(self.members)]
        key = self.key(gates.caller_of(who), redemptions.ROUTE)
        request = Request(who, self.reward_id, quantity, key)
        self.requests[str(key.text)] = lambda: self.redeem(request)
        return request

    def redeem(self, request: Request) -> list[Attempt]:
        with self.history.attempt("redeem", request.key) as made:
            made[0].outcome = idempotency.find(request.key) or redemptions.redeem(
                request, now=clock.now()
            )
        return made

    def redeem_late(self, request: Request) -> list[Attempt]:
        """As who looked for the key's answer before its twin had finished, and found none."""
        with self.history.attempt("redeem", request.key) as made:
            made[0].outcome = redemptions.redeem(request, now=clock.now())
        return made

    def redeem_many(self, requests: list[Request]) -> list[Attempt]:
        with self.history.attempt("redeem", *[each.key for each in requests]) as made:
            found = [idempotency.find(each.key) for each in requests]
            fresh = [each for each, answer in zip(requests, found, strict=True) if not answer]
            decided = iter(redemptions.redeem_many(fresh, now=clock.now()) if fresh else [])
            for attempt, answer in zip(made, found, strict=True):
                attempt.outcome = answer or next(decided)
        return made

    def cancels(self, redemption: int = 0) -> str | None:
        """A wish to take back one of the live redemptions; None where there is none."""
        live = sa.select(Redemption.member_id, Redemption.id).where(
            Redemption.reward_id == self.reward_id, Redemption.state == "issued"
        )
        with db.engine.connect() as connection:
            found = connection.execute(live.order_by(Redemption.id)).all()
        if not found:
            return None
        member, trade = found[redemption % len(found)]
        key = self.key(gates.caller_of(member), CANCEL_ROUTE)
        self.requests[str(key.text)] = lambda: self.cancel(member, trade, key)
        return str(key.text)

    def cancel(self, member: int, trade: int, key: Key) -> list[Attempt]:
        with self.history.attempt("cancel", key) as made:
            made[0].outcome = idempotency.find(key) or redemptions.cancel(
                member, trade, key=key, now=clock.now()
            )
        return made

    def moves(self, quantity: int) -> str:
        """A wish to add units or take some out."""
        key = self.key("staff:1", MOVE_ROUTE)
        self.requests[str(key.text)] = lambda: self.move(quantity, key)
        return str(key.text)

    def move(self, quantity: int, key: Key) -> list[Attempt]:
        row = {"quantity": quantity, "reason": "count", "note": key.text, "unit_cost_fen": None}
        with self.history.attempt("move", key) as made:
            made[0].outcome = idempotency.find(key) or rewards.move_stock(
                self.reward_id, row, staff_id=1, key=key, now=clock.now()
            )
        return made

    def send(self, text: str) -> list[Attempt]:
        """A request, the first time or again."""
        return self.requests[text]()

    # what nobody asks for

    def reap(self) -> None:
        gates.reap(self.reward_id, route=redemptions.ROUTE, now=clock.now())

    def rebuild(self) -> None:
        gates.rebuild(self.reward_id)

    def keep(self) -> None:
        jobs.keep_gates()

    def drain(self) -> None:
        jobs.drain_events()

    def close(self) -> None:
        """Take the reward off the shelf, so that the keeper of later schedules passes it by."""
        db.session.rollback()
        with atomic() as transaction:
            transaction.execute(
                sa.update(Reward).where(Reward.id == self.reward_id).values(published=False)
            )


def make(shape: Shape, history: History) -> World:
    """Put a world into the database, with as few statements as may be."""
    now = clock.now()
    reward = {
        "title": "礼品",
        "kind": "pickup",
        "price_points": PRICE_POINTS,
        "per_member_limit": shape.limit,
        "hot": shape.hot,
        "units_stocked": shape.units,
        "units_left": shape.units,
        "voucher_lasts_days": 365,
        "created_at": now,
    }
    with atomic() as transaction:
        last_event = transaction.execute(sa.select(sa.func.max(Event.id))).scalar() or 0
        reward_id = transaction.execute(insert(Reward).returning(Reward.id), reward).scalar_one()
        transaction.execute(insert(StockMove), _first_move(reward_id, shape.units, now))
        made = transaction.execute(
            insert(Member).returning(Member.id, sort_by_parameter_order=True),
            [_member(now) for _ in shape.funds],
        )
        members = list(made.scalars())
        transaction.execute(insert(Account), [_account(*each) for each in _funded(members, shape)])
        _give(transaction, [each for each in _funded(members, shape) if each[1]], now)
    world = World(reward_id, members, history, last_event)
    if shape.gate:
        world.rebuild()
    return world


def _funded(members: list[int], shape: Shape) -> list[tuple[int, int]]:
    """(member, points) of each."""
    return [(m, n * PRICE_POINTS) for m, n in zip(members, shape.funds, strict=True)]


def _first_move(reward_id: int, units: int, now: Any) -> dict[str, Any]:
    return {
        "reward_id": reward_id,
        "quantity": units,
        "reason": "purchase",
        "units_left_after": units,
        "staff_id": 1,
        "created_at": now,
    }


def _member(now: Any) -> dict[str, Any]:
    number = next(_count)
    return {
        "card_no": f"{number:012d}",
        "invite_code": f"{number:08X}",
        "appid": "wxsteps",
        "openid": f"{_run}-{number}",
        "joined_at": now,
    }


def _account(member_id: int, points: int) -> dict[str, Any]:
    entries = 2 if points else 0
    return {
        "member_id": member_id,
        "balance_points": points,
        "entries": entries,
        "tier_code": "base",
    }


def _give(transaction: Any, funded: list[tuple[int, int]], now: Any) -> None:
    """Points in two lots: a few that end soon, the rest later."""
    if not funded:
        return
    parts = []
    for member_id, points in funded:
        soon = PRICE_POINTS // 2
        parts.append((member_id, 1, soon, soon, now + SHORT_LIVED))
        parts.append((member_id, 2, points - soon, points, now + LONG_LIVED))
    entries = [
        {
            "member_id": member_id,
            "seq": seq,
            "kind": "adjust",
            "delta_points": points,
            "balance_after_points": after,
            "ref_kind": "steps",
            "ref_id": f"{_run}-{next(_count)}",
            "actor": "system",
            "created_at": now,
        }
        for member_id, seq, points, after, _ in parts
    ]
    ids = transaction.execute(
        insert(LedgerEntry).returning(LedgerEntry.id, sort_by_parameter_order=True), entries
    ).scalars()
    lots = [
        {
            "member_id": member_id,
            "entry_id": entry_id,
            "points_earned": points,
            "points_left": points,
            "earned_at": now,
            "expires_at": until,
        }
        for entry_id, (member_id, _, points, _, until) in zip(ids, parts, strict=True)
    ]
    transaction.execute(insert(Lot), lots)
