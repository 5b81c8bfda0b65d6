"""Transfers: points one member gives another, off unless the shop allows some a day."""

from datetime import datetime

import sqlalchemy as sa

from mall import clock, members, points, shop
from mall.atomic import atomic
from mall.errors import NotFound, TransferLimit, TransfersOff, TransferToSelf
from mall.idempotency import Answer, Key
from mall.points import Book, Cause
from models import Account, Member, Transfer, db
from models.base import insert


def transfer(
    giver_id: int, card_no: str, amount: int, *, note: str = "", key: Key, now: datetime
) -> Answer:
    """Give points to the member of a card; they keep the dates on which they expire.

    Both accounts are locked in ascending order, whoever gives, so that two who give to each other
    never wait in a ring.
    """
    limit: int = shop.setting("transfer_points_per_day")
    if not limit:
        raise TransfersOff()
    with atomic() as transaction:
        key.claim(now=now)
        taker = _taker(card_no)
        if taker.id == giver_id:
            raise TransferToSelf()
        book = points.open_book([giver_id, taker.id], now=now, lots=True)
        _check_limit(giver_id, amount, limit, now)
        row = {"giver_id": giver_id, "taker_id": taker.id, "points": amount, "note": note}
        statement = insert(Transfer).values(**row, created_at=now).returning(Transfer.id)
        transfer_id = transaction.execute(statement).scalar_one()
        _move(book, giver_id, taker, amount, transfer_id)
        book.write()
        return key.store(
            201,
            {
                "id": transfer_id,
                "points": amount,
                "to": members.mask_nickname(taker.nickname),
                "balance_after": book.account(giver_id).balance_points,
            },
        )


def _taker(card_no: str) -> Member:
    """Who holds a card. What comes in is welcome in a frozen account too: it can't spend it."""
    query = sa.select(Member).join(Account, Account.member_id == Member.id)
    holder = members.holder(Member.card_no == card_no)
    found = db.session.scalar(query.where(Member.id == holder, Account.state != "closed"))
    if found is None:
        raise NotFound()
    return found


def _check_limit(giver_id: int, amount: int, limit: int, now: datetime) -> None:
    """Within the day's limit, under the giver's lock; transfers are never deleted."""
    since = clock.start_of_day(clock.business_day(now))
    query = sa.select(sa.func.coalesce(sa.func.sum(Transfer.points), 0)).where(
        Transfer.giver_id == giver_id, Transfer.created_at >= since
    )
    with atomic() as transaction:
        given = int(transaction.execute(query).scalar_one())
    if given + amount > limit:
        raise TransferLimit(limit=limit, left=max(limit - given, 0))


def _move(book: Book, giver_id: int, taker: Member, amount: int, transfer_id: int) -> None:
    """Take the giver's lots first-expiring first; each part becomes a lot of its own."""
    ref, actor = str(transfer_id), f"member:{giver_id}"
    out = Cause("transfer_out", "transfer", ref, actor)
    for number, (lot, part) in enumerate(book.take_out(giver_id, amount, out), start=1):
        into = Cause("transfer_in", "transfer", f"{ref}:{number}", actor)
        book.grant(taker.id, part, into, expires_at=lot.expires_at)
