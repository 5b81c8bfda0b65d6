"""What must add up of rewards and their stock. Each check is one query that names what is wrong."""

from typing import Any

import sqlalchemy as sa

from models import Redemption, Reward, StockMove, StoreMove, StoreStock

LIVE = ("issued", "shipped", "used", "expired")  # redemptions whose units are not on the shelf


def sum_of(column: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(column), 0)


def stock_is_moves() -> sa.Select[Any]:
    moved = (
        sa.select(sum_of(StockMove.quantity))
        .where(StockMove.reward_id == Reward.id)
        .scalar_subquery()
    )
    return sa.select(
        Reward.id.label("id"), moved.label("expected"), Reward.units_stocked.label("actual")
    ).where(moved != Reward.units_stocked)


def _live_units() -> Any:
    return (
        sa.select(sum_of(Redemption.quantity))
        .where(Redemption.reward_id == Reward.id, Redemption.state.in_(LIVE))
        .scalar_subquery()
    )


def promised_units_are_live_redemptions() -> sa.Select[Any]:
    live = _live_units()
    return sa.select(
        Reward.id.label("id"), live.label("expected"), Reward.units_promised.label("actual")
    ).where(live != Reward.units_promised)


def stocked_is_left_and_live() -> sa.Select[Any]:
    total = Reward.units_left + _live_units()
    return sa.select(
        Reward.id.label("id"), Reward.units_stocked.label("expected"), total.label("actual")
    ).where(total != Reward.units_stocked)


def stores_moved_what_they_have() -> sa.Select[Any]:
    """Rewards of which a store's units are not the sum of what came there and left."""
    moved = (
        sa.select(sum_of(StoreMove.quantity))
        .where(StoreMove.reward_id == StoreStock.reward_id)
        .where(StoreMove.store_id == StoreStock.store_id)
        .scalar_subquery()
    )
    shelf = StoreStock
    return sa.select(
        shelf.reward_id.label("id"), moved.label("expected"), shelf.units_stocked.label("actual")
    ).where(moved != shelf.units_stocked)


def stores_promised_what_is_fetched_there() -> sa.Select[Any]:
    """Rewards of which a store's promised units are not its live redemptions."""
    live = (
        sa.select(sum_of(Redemption.quantity))
        .where(Redemption.reward_id == StoreStock.reward_id, Redemption.state.in_(LIVE))
        .where(Redemption.store_id == StoreStock.store_id)
        .scalar_subquery()
    )
    shelf = StoreStock
    here: Any = sa.select(
        shelf.reward_id.label("id"), live.label("expected"), shelf.units_promised.label("actual")
    ).join(Reward, Reward.id == shelf.reward_id)
    return here.where(live != shelf.units_promised, Reward.stock_by_store)  # type: ignore[no-any-return]


def stores_add_up_to_the_reward() -> sa.Select[Any]:
    """Rewards stocked by store whose units left are not the stores' together."""
    left = (
        sa.select(sum_of(StoreStock.units_left))
        .where(StoreStock.reward_id == Reward.id)
        .scalar_subquery()
    )
    return sa.select(
        Reward.id.label("id"), left.label("expected"), Reward.units_left.label("actual")
    ).where(left != Reward.units_left, Reward.stock_by_store)
