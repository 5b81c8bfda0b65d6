"""The reaper: leases whose holder never came back are settled or released, as SQL says."""

from datetime import datetime

import sqlalchemy as sa

from mall import idempotency
from mall.atomic import atomic
from mall.gates.build import count
from mall.guards import stock
from models import Redemption


def reap(reward_id: int, *, route: str, now: datetime) -> int:
    """End overdue leases: settle what SQL says was redeemed, give up and release the rest.

    Each is ended in the period its units were counted in.
    """
    ended = 0
    for ask, period in stock.overdue(reward_id):
        caller, text = caller_of(ask.member_id), ask.token.partition(":")[2]
        if _redeemed(ask.member_id, text) or not idempotency.give_up(
            caller, route, text, lease=ask.lease, now=now
        ):
            ended += stock.settle(reward_id, [ask], period=period)
        else:
            ended += stock.release(reward_id, [ask], period=period)
    if ended:
        count("gate_leases_reaped", ended)
    return ended


def caller_of(member_id: int) -> str:
    """Who a shopper's idempotency keys belong to."""
    return f"member:{member_id}"


def _redeemed(member_id: int, request_key: str) -> bool:
    query = sa.select(Redemption.id).where(
        Redemption.member_id == member_id, Redemption.request_key == request_key
    )
    with atomic() as transaction:
        return transaction.execute(query).first() is not None
