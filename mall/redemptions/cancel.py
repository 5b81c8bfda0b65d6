"""Take a trade back: points, units, limit and voucher, all or nothing."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import gates, limits, points, rewards, shop, vouchers
from mall.atomic import atomic
from mall.errors import AlreadyCancelled, AlreadyUsed, NotFound, VoucherExpired
from mall.events import RedemptionCancelled, record
from mall.guards import stock
from mall.guards.client import RedisError
from mall.idempotency import Answer, Key
from mall.points import Book, Cause
from models import LedgerEntry, Redemption, db


def cancel(member_id: int, redemption_id: int, *, key: Key, now: datetime) -> Answer:
    """Take a trade back: the points return to their lots, the units to the shelf."""
    with atomic():
        key.claim(now=now)
        trade, balance = take_back(member_id, redemption_id, now=now)
        return key.store(
            200,
            {
                "id": trade.id,
                "state": "cancelled",
                "points_returned": trade.points_paid,
                "balance_after": balance,
                "grace_days": shop.setting("give_back_grace_days"),
            },
        )


def take_back(member_id: int, redemption_id: int, *, now: datetime) -> tuple[Redemption, int]:
    """Cancel inside a caller's transaction; answers the trade and the balance after."""
    with atomic() as transaction:
        book = points.open_book([member_id], now=now, lots=True)
        trade = _own(member_id, redemption_id)
        limits.give_back(member_id, trade.reward_id, trade.period, trade.quantity)
        _close(trade, now)
        balance = _pay_back(trade, book)
        epoch = rewards.put_back(trade.reward_id, trade.quantity, trade.store_id)
        fact = RedemptionCancelled(
            member_id, trade.id, trade.reward_id, trade.quantity, trade.period, epoch
        )
        record(fact, now=now)
        transaction.after_commit(lambda: tell_gate(fact))
    return trade, balance


def _own(member_id: int, redemption_id: int) -> Redemption:
    """The member's trade, under the account's lock; raises where it was taken back before."""
    query = sa.select(Redemption).where(
        Redemption.id == redemption_id, Redemption.member_id == member_id
    )
    trade = db.session.scalar(query.execution_options(populate_existing=True))
    if trade is None:
        raise NotFound()
    if trade.state == "cancelled":
        raise AlreadyCancelled()
    return trade


def _close(trade: Redemption, now: datetime) -> None:
    """Void the voucher and mark the redemption cancelled; raises where it is too late."""
    voided = vouchers.void(trade.id, now=now)
    with atomic() as transaction:
        closed = transaction.execute(
            sa.update(Redemption)
            .where(Redemption.id == trade.id, Redemption.state == "issued")
            .values(state="cancelled", cancelled_at=now)
        )
    if closed.rowcount == 0:
        raise AlreadyUsed()
    if not voided:
        raise VoucherExpired()


def _pay_back(trade: Redemption, book: Book) -> int:
    paid = sa.select(LedgerEntry.id).where(
        LedgerEntry.kind == "redeem",
        LedgerEntry.ref_kind == "redemption",
        LedgerEntry.ref_id == str(trade.id),
    )
    with atomic() as transaction:
        entry_id = transaction.execute(paid).scalar()
    if entry_id is None:
        return book.account(trade.member_id).balance_points
    cause = Cause("cancel", "redemption", str(trade.id), gates.caller_of(trade.member_id))
    grace = timedelta(days=shop.setting("give_back_grace_days"))
    balance = book.give_back(trade.member_id, entry_id, cause, grace=grace)
    book.write()
    return balance


def tell_gate(fact: RedemptionCancelled) -> None:
    """Let the gate know of units that came back; told again by the worker, it counts once.

    They come back to the period they were taken in.
    """
    try:
        stock.put_back(
            fact.reward_id,
            member_id=fact.member_id,
            quantity=fact.quantity,
            period=fact.period,
            operation=f"cancel:{fact.redemption_id}",
            epoch=fact.epoch,
        )
    except RedisError:
        return  # the worker tells it later
