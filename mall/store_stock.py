"""A reward's units store by store. Whoever changes them changes the reward's own sum after them.

In that order: the reward's row is the one that every shopper waits for.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic, read
from mall.errors import Malformed, NotFound, SoldOut, StockPromised
from models import Store, StoreMove, StoreStock
from models.base import insert, table_of

Place = tuple[int, int]  # (reward_id, store_id)
SHELF = table_of(StoreStock)


def move(
    place: Place, quantity: int, reason: str, note: str, *, staff_id: int, now: datetime
) -> int:
    """Add units at a store or take some out, never those promised; answers the id of the move."""
    reward_id, store_id = place
    with atomic() as transaction:
        if transaction.execute(sa.select(Store.id).where(Store.id == store_id)).first() is None:
            raise NotFound()
        empty = {"units_stocked": 0, "units_left": 0, "units_promised": 0}
        row = {"reward_id": reward_id, "store_id": store_id, **empty}
        transaction.execute(insert(StoreStock).values(**row).on_conflict_do_nothing())
        left = transaction.execute(
            sa.update(SHELF)
            .where(_is(place), SHELF.c.units_left + quantity >= 0)
            .values(
                units_left=SHELF.c.units_left + quantity,
                units_stocked=SHELF.c.units_stocked + quantity,
            )
            .returning(SHELF.c.units_left)
        ).scalar()
        if left is None:
            raise StockPromised(units_left=left_at([place])[place])
        values = {"reward_id": reward_id, "store_id": store_id, "quantity": quantity}
        noted = {"reason": reason, "note": note, "staff_id": staff_id, "created_at": now}
        statement = insert(StoreMove).values(**values, **noted, units_left_after=left)
        move_id: int = transaction.execute(statement.returning(StoreMove.id)).scalar_one()
    return move_id


def transfer(
    reward_id: int,
    from_store_id: int,
    to_store_id: int,
    quantity: int,
    note: str,
    *,
    staff_id: int,
    now: datetime,
) -> dict[int, int]:
    """Bring units from one store to another; answers what each has left. The sum stays."""
    if from_store_id == to_store_id:
        raise Malformed(errors={"to_store_id": ["must be another store"]})
    parts = {from_store_id: -quantity, to_store_id: quantity}
    with atomic():
        for store_id in sorted(parts):  # ascending, as everybody locks them
            place = (reward_id, store_id)
            move(place, parts[store_id], "transfer", note, staff_id=staff_id, now=now)
        left = left_at((reward_id, store_id) for store_id in parts)
    return {store_id: units for (_, store_id), units in left.items()}


def left_at(places: Iterable[Place]) -> dict[Place, int]:
    """How many units each place has left; one that has never had any has none."""
    wanted = set(places)
    if not wanted:
        return {}
    rewards, stores = ({place[part] for place in wanted} for part in (0, 1))
    rows = read(_LEFT, {"rewards": sorted(rewards), "stores": sorted(stores)})
    found = {(row.reward_id, row.store_id): row.units_left for row in rows}
    return {place: found.get(place, 0) for place in wanted}


_LEFT = sa.select(SHELF.c.reward_id, SHELF.c.store_id, SHELF.c.units_left).where(
    SHELF.c.reward_id.in_(sa.bindparam("rewards", expanding=True)),
    SHELF.c.store_id.in_(sa.bindparam("stores", expanding=True)),
)


def take_many(quantities: Mapping[Place, int]) -> None:
    """Promise units of stores, ascending; raises `SoldOut` where one has too few."""
    with atomic() as transaction:
        for place in sorted(quantities):
            quantity = quantities[place]
            taken = transaction.execute(
                sa.update(SHELF)
                .where(_is(place), SHELF.c.units_left >= quantity)
                .values(
                    units_left=SHELF.c.units_left - quantity,
                    units_promised=SHELF.c.units_promised + quantity,
                )
            )
            if taken.rowcount == 0:
                raise sold_out(place, left_at([place])[place], quantity)


def sold_out(place: Place, units_left: int, quantity: int) -> SoldOut:
    """Refuse a quantity at a store, by the store's name."""
    with atomic() as transaction:
        name = transaction.execute(sa.select(Store.name).where(Store.id == place[1])).scalar()
    left = min(units_left, quantity - 1)
    return SoldOut(units_left=left, store_id=place[1], store=name)


def put_back(place: Place, quantity: int) -> bool:
    """Return promised units to a store; False where the reward's stock is none of the stores'."""
    with atomic() as transaction:
        returned = transaction.execute(
            sa.update(SHELF)
            .where(_is(place), SHELF.c.units_promised >= quantity)
            .values(
                units_left=SHELF.c.units_left + quantity,
                units_promised=SHELF.c.units_promised - quantity,
            )
        )
    return returned.rowcount == 1


def _is(place: Place) -> sa.ColumnElement[bool]:
    return sa.and_(SHELF.c.reward_id == place[0], SHELF.c.store_id == place[1])


def shelves(reward_id: int) -> list[dict[str, Any]]:
    """What each store has of a reward, by the stores' codes."""
    numbers = (SHELF.c.units_stocked, SHELF.c.units_left, SHELF.c.units_promised)
    query = (
        sa.select(Store.id.label("store_id"), Store.code, Store.name, *numbers)
        .join(SHELF, SHELF.c.store_id == Store.id)
        .where(SHELF.c.reward_id == reward_id)
        .order_by(Store.code)
    )
    with atomic() as transaction:
        return [dict(row._mapping) for row in transaction.execute(query)]


def moves(reward_id: int) -> sa.Select[Any]:
    """What came to the stores and left them, of one reward."""
    return sa.select(StoreMove).where(StoreMove.reward_id == reward_id)


def move_view(each: StoreMove) -> dict[str, Any]:
    names = ("id", "store_id", "quantity", "reason", "note", "units_left_after", "staff_id")
    shown = {name: getattr(each, name) for name in names}
    return {**shown, "created_at": clock.rfc3339(each.created_at)}
