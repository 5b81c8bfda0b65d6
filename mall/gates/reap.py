"""The reaper: leases whose holder never came back are settled or released, as SQL says."""

from datetime import datetime

import sqlalchemy as sa

from mall import idempotency
from mall.atomic import atomic
from mall.gates.build import count
from mall.guards import stock
from mall.guards.stock import Ask
from models import Redemption


def reap(reward_id: int, *, route: str, now: datetime) -> int:
    """End overdue leases: settle those whose units a redemption took, give up and release the rest.

    Each is ended in the period its units were counted in.
    """
    ended = 0
    for ask, period in stock.overdue(reward_id):
        end = stock.settle if _is_spent(ask, route, now) else stock.release
        ended += end(reward_id, [ask], period=period)
    if ended:
        count("gate_leases_reaped", ended)
    return ended


def _is_spent(ask: Ask, route: str, now: datetime) -> bool:
    """Whether a redemption took this lease's units; where none has, none ever will."""
    spent = _spent(ask)
    if spent is None:
        caller, text = caller_of(ask.member_id), _key_of(ask)
        if not idempotency.give_up(caller, route, text, lease=ask.lease, now=now):
            spent = _spent(ask)  # it came to its end after all
    return bool(spent)


def _spent(ask: Ask) -> bool | None:
    """Whether its request's redemption took the units of this lease; None where none stands."""
    query = sa.select(Redemption.lease).where(
        Redemption.member_id == ask.member_id, Redemption.request_key == _key_of(ask)
    )
    with atomic() as transaction:
        row = transaction.execute(query).first()
    return None if row is None else ask.went_to(row.lease)


def _key_of(ask: Ask) -> str:
    return ask.token.partition(":")[2]


def caller_of(member_id: int) -> str:
    """Who a shopper's idempotency keys belong to."""
    return f"member:{member_id}"
