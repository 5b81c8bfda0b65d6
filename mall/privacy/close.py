"""Close an account for good: what it has goes, who it was is forgotten, the sums stay.

One transaction, in the order of locks: the account, then trades by their rewards, then the rest.
"""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import checkins, clock, closed, holds, members, points, redemptions, shop
from mall.atomic import atomic, read
from mall.errors import AccountFrozen, ClosureChanged, MemberClosed
from mall.events import Closed, record
from mall.idempotency import Answer, Key
from mall.points import Cause
from mall.privacy.erase import erase
from models import Account, Closure, Merge, Redemption, Voucher, db
from models.base import insert, table_of

MOST_SEEN = 10**9  # the largest number that a request may hold


def preview(member_id: int, *, now: datetime) -> dict[str, Any]:
    """What closing would take: figures, as the member should see them before they say yes."""
    account = db.session.get_one(Account, member_id, populate_existing=True)
    trades = _open_trades(member_id, now)
    return {
        "points": account.balance_points - points.due_points(member_id, now=now),
        "pending_points": account.pending_points,
        "held_points": account.held_points,
        "debt_points": account.debt_points,
        "vouchers": sum(1 for trade in trades if trade.voucher_id is not None),
        "parcels": sum(1 for trade in trades if trade.voucher_id is None),
        "tier": account.tier_code,
        "growth_value": account.growth_value,
        "blocked_by": "account_frozen" if account.state == "frozen" else None,
        "rejoin_after_days": shop.setting("rejoin_after_days"),
    }


def close(
    member_id: int,
    *,
    seen_points: int | None,
    reason: str = "",
    actor: str,
    key: Key,
    now: datetime,
) -> Answer:
    """Close an account. `seen_points` is what its owner was shown; where it changed, they look again."""
    with atomic() as transaction:
        key.claim(now=now)
        lost = _take_all(member_id, seen_points, actor, now)
        people, joined_at = _people(member_id), members.find(member_id).joined_at
        _shut(people)
        erase(people, until=now + timedelta(days=lost["rejoin_after_days"]))
        row = {"member_id": member_id, "actor": actor, "reason": reason, "closed_at": now}
        transaction.execute(insert(Closure).values(**row, lost=lost))
        record(Closed(member_id), now=now)
        transaction.after_commit(lambda: _forget(member_id, joined_at, now))
        return key.store(200, {"id": member_id, "closed_at": clock.rfc3339(now), "lost": lost})


def _take_all(member_id: int, seen_points: int | None, actor: str, now: datetime) -> dict[str, Any]:
    """Let vouchers, holds, promises, points and debts go; answers what there was."""
    _check_open(member_id, now)
    lost = preview(member_id, now=now)
    if seen_points is not None and seen_points != min(lost["points"], MOST_SEEN):
        raise ClosureChanged(points=lost["points"])
    for trade in _open_trades(member_id, now):
        redemptions.take_back(member_id, trade.id, now=now)
    holds.void_all(member_id, actor=actor, now=now)
    points.void_promises_to(member_id)
    book = points.open_book([member_id], now=now, lots=True)
    book.close(member_id, Cause("closure", "closure", str(member_id), actor))
    book.write()
    return lost


def _check_open(member_id: int, now: datetime) -> None:
    """Lock the account; raise where it is closed already, or frozen until somebody has looked."""
    state = points.open_book([member_id], now=now).account(member_id).state
    if state != "open":
        raise MemberClosed() if state == "closed" else AccountFrozen()


def _open_trades(member_id: int, now: datetime) -> list[Any]:
    """Trades whose voucher is good or whose parcel has not left, by their rewards."""
    trade, voucher = table_of(Redemption), table_of(Voucher)
    query = (
        sa.select(trade.c.id, voucher.c.id.label("voucher_id"))
        .outerjoin(voucher, voucher.c.redemption_id == trade.c.id)
        .where(trade.c.member_id == member_id, trade.c.state == "issued")
        .where(
            sa.or_(
                voucher.c.id.is_(None),
                sa.and_(voucher.c.state == "issued", voucher.c.expires_at > now),
            )
        )
    )
    return list(read(query.order_by(trade.c.reward_id, trade.c.id)))


def _people(member_id: int) -> list[int]:
    """The rows of Member that are this person: themselves, and whoever was merged into them."""
    merges = table_of(Merge)
    found = read(sa.select(merges.c.from_member_id).where(merges.c.holder_id == member_id))
    return [member_id, *(row.from_member_id for row in found)]


def _shut(member_ids: list[int]) -> None:
    table = table_of(Account)
    with atomic() as transaction:
        shut = sa.update(table).where(table.c.member_id.in_(sorted(member_ids)))
        transaction.execute(shut.values(state="closed"))


def _forget(member_id: int, joined_at: datetime, now: datetime) -> None:
    """Out of this process and out of Redis."""
    closed.remember(member_id)
    days = [clock.business_day(at) for at in (joined_at, now)]
    checkins.forget([member_id], days[0], days[1])
