"""Rewards: put on the shelf, counted, and taken under condition."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import clock, store_stock
from mall.atomic import atomic, read
from mall.errors import (
    ChangedMeanwhile,
    Closed,
    KindFixed,
    Malformed,
    NotFound,
    NotOpenYet,
    OneStock,
    Refused,
    RewardBusy,
    SoldOut,
    StockFixed,
    StockPromised,
    StoreNeeded,
    TooManyUnits,
)
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key
from mall.store_stock import Place
from models import Redemption, Reward, StockMove, db
from models.base import insert, table_of

MAX_UNITS = 10**9  # with a move of as many, still a number the column holds
STATE_PLENTY, STATE_LOW, STATE_SOLD_OUT = "plenty", "low", "sold_out"


def find(reward_id: int) -> Reward:
    reward = db.session.get(Reward, reward_id)
    if reward is None:
        raise NotFound()
    return reward


def stock_state(units_left: int, *, low_units: int) -> str:
    if units_left <= 0:
        return STATE_SOLD_OUT
    return STATE_LOW if units_left <= low_units else STATE_PLENTY


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
    view["stock_state"] = stock_state(reward.units_left, low_units=reward.low_stock_units)
    return view


def shelve(values: dict[str, Any], *, key: Key, now: datetime) -> Answer:
    """Add a reward to the mall; it can be had as soon as it has stock."""
    with atomic():
        key.claim(now=now)
        return key.store(201, admin_view(add(values, now=now)))


def add(values: dict[str, Any], *, now: datetime) -> Reward:
    with atomic():
        reward = Reward(**values, created_at=now)
        _check_fetched(reward)
        db.session.add(reward)
        db.session.flush()
    return reward


def change(reward_id: int, values: dict[str, Any], *, version: int) -> Reward:
    """Change a reward that is still the version the admin saw; its gate is rebuilt.

    Its kind is fixed by the first redemption, which was granted with a voucher or for an address;
    whether it is stocked by store, by the first unit.
    """
    may = (_may_become(values), _may_be_stocked(values))
    with atomic() as transaction:
        changed = transaction.execute(
            sa.update(Reward)
            .where(Reward.id == reward_id, Reward.version == version, *may)
            .values(**values, version=Reward.version + 1, epoch=Reward.epoch + 1)
        )
        reward = db.session.get(Reward, reward_id, populate_existing=True)
        if reward is None:
            raise NotFound()
        if changed.rowcount == 0:
            raise _why_not_changed(reward, values, version)
        if reward.opens_at and reward.closes_at and reward.opens_at >= reward.closes_at:
            raise Malformed(errors={"closes_at": ["must be later than opens_at"]})
        _check_fetched(reward)
        epoch = reward.epoch
        transaction.after_commit(lambda: _close_gate_before(reward_id, epoch))
    return reward


def _why_not_changed(reward: Reward, values: dict[str, Any], version: int) -> Refused:
    if reward.version != version:
        return ChangedMeanwhile(version=reward.version)
    return KindFixed() if values.get("kind", reward.kind) != reward.kind else StockFixed()


def _check_fetched(reward: Reward) -> None:
    """Only what is fetched lies in stores."""
    if reward.stock_by_store and reward.kind != "pickup":
        raise Malformed(errors={"stock_by_store": ["only what is fetched, of kind pickup"]})


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


def _may_be_stocked(values: dict[str, Any]) -> sa.ColumnElement[bool]:
    if "stock_by_store" not in values:
        return sa.true()
    return sa.or_(Reward.stock_by_store == values["stock_by_store"], Reward.units_stocked == 0)


def move_stock(
    reward_id: int,
    move: dict[str, Any],
    *,
    store_id: int | None = None,
    staff_id: int,
    key: Key,
    now: datetime,
) -> Answer:
    """Add units to a reward's stock or take some out, never those promised to somebody.

    Where the reward is stocked by store they come to one store, or leave it.
    """
    quantity = move["quantity"]
    with atomic() as transaction:
        key.claim(now=now)
        _check_place(find(reward_id), store_id)
        if store_id is not None:
            place, why = (reward_id, store_id), (move["reason"], move["note"])
            store_stock.move(place, quantity, *why, staff_id=staff_id, now=now)
        moved = transaction.execute(
            sa.update(Reward)
            .where(
                Reward.id == reward_id,
                Reward.stock_by_store == (store_id is not None),
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
            raise _why_not(reward_id, store_id, quantity)
        units_left, epoch = moved.units_left, moved.epoch
        transaction.after_commit(lambda: _close_gate_before(reward_id, epoch))
        row = {**move, "reward_id": reward_id, "units_left_after": units_left}
        statement = insert(StockMove).values(**row, staff_id=staff_id, created_at=now)
        move_id = transaction.execute(statement.returning(StockMove.id)).scalar()
        view = {**move, "id": move_id, "store_id": store_id, "created_at": clock.rfc3339(now)}
        return key.store(201, {"units_left": units_left, "move": view})


def _check_place(reward: Reward, store_id: int | None) -> None:
    """Refuse units that come to no store where stores have them, or to one where they have not."""
    if reward.stock_by_store and store_id is None:
        raise StoreNeeded()
    if store_id is not None and not reward.stock_by_store:
        raise OneStock()


def _why_not(reward_id: int, store_id: int | None, quantity: int) -> Refused:
    reward = db.session.get_one(Reward, reward_id, populate_existing=True)
    if reward.stock_by_store != (store_id is not None):
        return ChangedMeanwhile(version=reward.version)
    if quantity > 0:
        return TooManyUnits(limit=MAX_UNITS)
    return StockPromised(units_left=reward.units_left)


def transfer_stock(
    reward_id: int, move: dict[str, Any], *, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Bring units of a reward from one store to another, none that is promised to somebody."""
    with atomic():
        key.claim(now=now)
        if not find(reward_id).stock_by_store:
            raise OneStock()
        left = store_stock.transfer(reward_id, **move, staff_id=staff_id, now=now)
        ends = {name: move[f"{name}_store_id"] for name in ("from", "to")}
        return key.store(201, {f"units_left_{name}": left[at] for name, at in ends.items()})


def take_many(quantities: Mapping[int, int], at_stores: Mapping[Place, int] | None = None) -> None:
    """Promise units of rewards, ascending; the last thing before COMMIT, for all wait for these rows.

    `at_stores` says where those of rewards that are stocked by store lie; theirs go first.
    """
    places = at_stores or {}
    stocked = {reward_id for reward_id, _ in places}
    with atomic() as transaction:
        store_stock.take_many(places)
        for reward_id in sorted(quantities):
            quantity, by_store = quantities[reward_id], reward_id in stocked
            taken = transaction.execute(
                sa.update(Reward)
                .where(Reward.id == reward_id, Reward.published, Reward.units_left >= quantity)
                .where(Reward.stock_by_store == by_store)
                .values(
                    units_left=Reward.units_left - quantity,
                    units_promised=Reward.units_promised + quantity,
                )
            )
            if taken.rowcount == 0:
                raise _why_not_taken(reward_id, quantity, by_store)


def _why_not_taken(reward_id: int, quantity: int, by_store: bool) -> Exception:
    columns = (Reward.published, Reward.units_left, Reward.stock_by_store)
    with atomic() as transaction:
        row = transaction.execute(sa.select(*columns).where(Reward.id == reward_id)).one_or_none()
    if row is None or not row.published:
        return NotFound()
    if row.stock_by_store != by_store:  # an admin has changed it since it was looked over
        return StoreNeeded() if row.stock_by_store else RewardBusy()
    return sold_out(row.units_left, quantity)


def sold_out(units_left: int, quantity: int) -> SoldOut:
    """Refuse a quantity; units that are held for others at this moment are none of those left."""
    return SoldOut(units_left=min(units_left, quantity - 1))


def put_back(reward_id: int, quantity: int, store_id: int | None = None) -> int:
    """Return promised units to the shelf they came from; answers the epoch, for later gates know of them.

    A store that was only to hand them over gets none: the shelf was the mall's.
    """
    with atomic() as transaction:
        at_store = store_id is not None and store_stock.put_back((reward_id, store_id), quantity)
        row = transaction.execute(
            sa.update(Reward)
            .where(Reward.id == reward_id, Reward.units_promised >= quantity)
            .values(
                units_left=Reward.units_left + quantity,
                units_promised=Reward.units_promised - quantity,
            )
            .returning(Reward.epoch, Reward.stock_by_store)
        ).one_or_none()
    assert row is not None, "more units came back than were promised"
    assert row.stock_by_store == at_store, "units came back to another shelf than they left"
    epoch: int = row.epoch
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
    stock_by_store: bool
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
