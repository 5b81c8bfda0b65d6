"""Rewards: put on the shelf, counted, and taken under condition."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, read
from mall.errors import (
    ChangedMeanwhile,
    Closed,
    KindFixed,
    Malformed,
    NotFound,
    NotOpenYet,
    Refused,
    SoldOut,
    StockPromised,
    TooManyUnits,
)
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key
from models import Redemption, Reward, StockMove, db
from models.base import insert, table_of

MAX_UNITS = 10**9  # with a move of as many, still a number the column holds
STATE_PLENTY, STATE_LOW, STATE_SOLD_OUT = "plenty", "low", "sold_out"


def find(reward_id: int) -> Reward:
    reward = db.session.get(Reward, reward_id)
    if reward is None:
        raise NotFound()
    return reward


def stock_state(reward: Reward) -> str:
    if reward.units_left <= 0:
        return STATE_SOLD_OUT
    return STATE_LOW if reward.units_left <= reward.low_stock_units else STATE_PLENTY


def check_open(reward: "Reward | Offer", *, now: datetime, early: timedelta = timedelta(0)) -> None:
    """Raise where a reward can't be had at a moment; one off the shelf is as if it were not there.

    It opens `early` for whom a tier lets in before others.
    """
    if not reward.published:
        raise NotFound()
    if reward.opens_at is not None and now < reward.opens_at - early:
        raise NotOpenYet(opens_at=clock.rfc3339(reward.opens_at - early))
    if reward.closes_at is not None and now >= reward.closes_at:
        raise Closed()


def admin_view(reward: Reward) -> dict[str, Any]:
    """Every field of a reward, as the mall's admins see it."""
    moments = ("opens_at", "closes_at", "created_at")
    hidden = ("epoch",)
    view: dict[str, Any] = {
        column.name: getattr(reward, column.name)
        for column in Reward.__table__.columns
        if column.name not in hidden
    }
    for name in moments:
        view[name] = clock.rfc3339(view[name]) if view[name] else None
    view["stock_state"] = stock_state(reward)
    return view


def shelve(values: dict[str, Any], *, key: Key, now: datetime) -> Answer:
    """Add a reward to the mall; it can be had as soon as it has stock."""
    with atomic():
        key.claim(now=now)
        return key.store(201, admin_view(add(values, now=now)))


def add(values: dict[str, Any], *, now: datetime) -> Reward:
    with atomic():
        reward = Reward(**values, created_at=now)
        db.session.add(reward)
        db.session.flush()
    return reward


def change(reward_id: int, values: dict[str, Any], *, version: int) -> Reward:
    """Change a reward that is still the version the admin saw; its gate is rebuilt.

    Its kind is fixed by the first redemption, which was granted with a voucher or for an address.
    """
    with atomic() as transaction:
        changed = transaction.execute(
            sa.update(Reward)
            .where(Reward.id == reward_id, Reward.version == version, _may_become(values))
            .values(**values, version=Reward.version + 1, epoch=Reward.epoch + 1)
        )
        reward = db.session.get(Reward, reward_id, populate_existing=True)
        if reward is None:
            raise NotFound()
        if changed.rowcount == 0:
            same = reward.version == version
            raise KindFixed() if same else ChangedMeanwhile(version=reward.version)
        if reward.opens_at and reward.closes_at and reward.opens_at >= reward.closes_at:
            raise Malformed(errors={"closes_at": ["must be later than opens_at"]})
        epoch = reward.epoch
        transaction.after_commit(lambda: _close_gate_before(reward_id, epoch))
    return reward


def _close_gate_before(reward_id: int, epoch: int) -> None:
    """Close the gate that the change of an epoch has made one of the past.

    Redemptions would find that out by its epoch; who was told "sold out" by it would not.
    """
    with suppress(
        RedisError
    ):  # one that is away is asked by nobody, and is looked at when it is back
        stock.close(reward_id, epoch=epoch - 1)


def _may_become(values: dict[str, Any]) -> sa.ColumnElement[bool]:
    """Whether the kind stays, or nobody has redeemed yet.

    Promised units stand in the row itself, so that a redemption being committed counts too.
    """
    if "kind" not in values:
        return sa.true()
    redeemed = sa.exists().where(Redemption.reward_id == Reward.id)
    return sa.or_(Reward.kind == values["kind"], sa.and_(Reward.units_promised == 0, ~redeemed))


def move_stock(
    reward_id: int, move: dict[str, Any], *, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Add units to a reward's stock or take some out, never those promised to somebody."""
    quantity = move["quantity"]
    with atomic() as transaction:
        key.claim(now=now)
        moved = transaction.execute(
            sa.update(Reward)
            .where(
                Reward.id == reward_id,
                Reward.units_left + quantity >= 0,
                Reward.units_stocked + quantity <= MAX_UNITS,
            )
            .values(
                units_left=Reward.units_left + quantity,
                units_stocked=Reward.units_stocked + quantity,
                epoch=Reward.epoch + 1,
            )
            .returning(Reward.units_left, Reward.epoch)
        ).one_or_none()
        if moved is None:
            raise _why_not(find(reward_id), quantity)
        units_left, epoch = moved.units_left, moved.epoch
        transaction.after_commit(lambda: _close_gate_before(reward_id, epoch))
        row = {**move, "reward_id": reward_id, "units_left_after": units_left}
        statement = insert(StockMove).values(**row, staff_id=staff_id, created_at=now)
        move_id = transaction.execute(statement.returning(StockMove.id)).scalar()
        view = {**move, "id": move_id, "created_at": clock.rfc3339(now)}
        return key.store(201, {"units_left": units_left, "move": view})


def _why_not(reward: Reward, quantity: int) -> Refused:
    if quantity > 0:
        return TooManyUnits(limit=MAX_UNITS)
    return StockPromised(units_left=reward.units_left)


def take_many(quantities: Mapping[int, int]) -> None:
    """Promise units of rewards, ascending; the last thing before COMMIT, for all wait for these rows."""
    with atomic() as transaction:
        for reward_id in sorted(quantities):
            quantity = quantities[reward_id]
            taken = transaction.execute(
                sa.update(Reward)
                .where(Reward.id == reward_id, Reward.published, Reward.units_left >= quantity)
                .values(
                    units_left=Reward.units_left - quantity,
                    units_promised=Reward.units_promised + quantity,
                )
            )
            if taken.rowcount == 0:
                raise _why_not_taken(reward_id, quantity)


def _why_not_taken(reward_id: int, quantity: int) -> Exception:
    with atomic() as transaction:
        query = sa.select(Reward.published, Reward.units_left).where(Reward.id == reward_id)
        row = transaction.execute(query).one_or_none()
    if row is None or not row.published:
        return NotFound()
    return sold_out(row.units_left, quantity)


def sold_out(units_left: int, quantity: int) -> SoldOut:
    """Refuse a quantity; units that are held for others at this moment are none of those left."""
    return SoldOut(units_left=min(units_left, quantity - 1))


def put_back(reward_id: int, quantity: int) -> int:
    """Return promised units to the shelf; answers the epoch, for later gates know of them."""
    with atomic() as transaction:
        epoch: int | None = transaction.execute(
            sa.update(Reward)
            .where(Reward.id == reward_id, Reward.units_promised >= quantity)
            .values(
                units_left=Reward.units_left + quantity,
                units_promised=Reward.units_promised - quantity,
            )
            .returning(Reward.epoch)
        ).scalar()
    assert epoch is not None, "more units came back than were promised"
    return epoch


@dataclass(frozen=True)
class Offer:
    """What a redemption must know of a reward, as it was read once."""

    id: int
    title: str
    kind: str
    price_points: int
    price_fen: int
    tier_prices: Mapping[str, int]
    per_member_limit: int | None
    limit_period: str
    tier_min: str | None
    opens_at: datetime | None
    closes_at: datetime | None
    published: bool
    hot: bool
    units_left: int
    voucher_lasts_days: int
    version: int
    epoch: int


def price_of(reward: "Reward | Offer", tier_codes: Iterable[str]) -> int:
    """What a unit costs whoever has reached some tiers: the lowest price any of them has."""
    prices = [reward.tier_prices[code] for code in tier_codes if code in reward.tier_prices]
    return min([reward.price_points, *prices])


def on_offer(reward_ids: Iterable[int]) -> dict[int, Offer]:
    """Rewards by id, as they stand now; those that don't exist are left out."""
    rows = read(_ON_OFFER, {"wanted": sorted(set(reward_ids))})
    return {row.id: Offer(**row._asdict()) for row in rows}


_ON_OFFER = sa.select(*[table_of(Reward).c[field.name] for field in fields(Offer)]).where(
    table_of(Reward).c.id.in_(sa.bindparam("wanted", expanding=True))
)
