"""Channels: where members come from. Each has a code, a cost and an owner, and counts what it brought.

A member's channel is the first that brought them, and stays. One of a store gives whoever joins by
its code a bundle at once, a person once for life.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import bundles, clock, points, touches
from mall.atomic import atomic, read
from mall.bundles import Gift
from mall.errors import Malformed, NameTaken, NotFound
from mall.idempotency import Answer, Key
from models import Bundle, Channel, ChannelDay, Member, Purchase, Store, db
from models.base import insert, table_of

STORE = "store"
KINDS = ("online", STORE, "partner")
GIFT = "store_join"
CHANGEABLE = ("name", "cost_fen", "owner", "starts_on", "ends_on", "bundle_code")


def open_channel(
    values: dict[str, Any], *, staff_id: int | None, key: Key, now: datetime
) -> Answer:
    """Add a channel; its code is its own."""
    with atomic() as transaction:
        key.claim(now=now)
        _check(values)
        stamps = {"created_at": now, "changed_at": now, "changed_by": staff_id}
        statement = insert(Channel).values(**values, **stamps).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(Channel.id)).scalar()
        if added is None:
            raise NameTaken()
        return key.store(201, view(db.session.get_one(Channel, added)))


def change(
    channel_id: int, values: dict[str, Any], *, staff_id: int, key: Key, now: datetime
) -> Answer:
    """Give a channel another name, cost, owner, period or gift; code, kind and store stay."""
    with atomic():
        key.claim(now=now)
        query = sa.select(Channel).where(Channel.id == channel_id).with_for_update()
        channel = db.session.scalar(query)
        if channel is None:
            raise NotFound()
        kept = {name: getattr(channel, name) for name in (*CHANGEABLE, "kind", "store_id")}
        _check({**kept, **values})
        for name, value in values.items():
            setattr(channel, name, value)
        channel.changed_by, channel.changed_at = staff_id, now
        db.session.flush()
        return key.store(200, view(channel))


def _check(values: dict[str, Any]) -> None:
    errors: dict[str, list[str]] = {}
    store_id, bundle = values["store_id"], values["bundle_code"]
    if (values["kind"] == STORE) != (store_id is not None):
        errors["store_id"] = ["a store's channel names its store, and no other does"]
    elif store_id is not None and not _there(Store.id == store_id):
        errors["store_id"] = ["no such store"]
    if bundle and values["kind"] != STORE:
        errors["bundle_code"] = ["only a store's code gives a bundle"]
    elif bundle and not _there(Bundle.code == bundle):
        errors["bundle_code"] = ["no such bundle"]
    starts, ends = values["starts_on"], values["ends_on"]
    if starts and ends and ends < starts:
        errors["ends_on"] = ["before starts_on"]
    if errors:
        raise Malformed(errors=errors)


def _there(which: sa.ColumnElement[bool]) -> bool:
    return bool(read(sa.select(sa.exists().where(which)))[0][0])


def view(channel: Channel) -> dict[str, Any]:
    names = ("id", "code", "name", "kind", "cost_fen", "owner", "store_id", "bundle_code")
    days = {name: getattr(channel, name) for name in ("starts_on", "ends_on")}
    return {
        **{name: getattr(channel, name) for name in names},
        **{name: day.isoformat() if day else None for name, day in days.items()},
        "changed_by": channel.changed_by,
        "changed_at": clock.rfc3339(channel.changed_at),
    }


def _open(code: str, now: datetime) -> Any:
    """The channel of a code, if its period is on."""
    today = clock.business_day(now)
    query = sa.select(Channel.code, Channel.bundle_code).where(
        Channel.code == code,
        sa.or_(Channel.starts_on.is_(None), Channel.starts_on <= today),
        sa.or_(Channel.ends_on.is_(None), Channel.ends_on >= today),
    )
    return next(iter(read(query)), None)


def scan(code: str, visitors: Iterable[str], *, key: Key, now: datetime) -> Answer:
    """Note that a visitor scanned a channel's code; one who has not before is counted on that day."""
    with atomic() as transaction:
        key.claim(now=now)
        if _open(code, now) is None:
            raise NotFound()
        if touches.touch(touches.CHANNEL, code, visitors, now=now):
            day = {"channel_code": code, "day": clock.business_day(now), "scans": 1}
            statement = insert(ChannelDay).values(**day)
            table = table_of(ChannelDay)
            more = {"scans": table.c.scans + 1}
            transaction.execute(
                statement.on_conflict_do_update(index_elements=["channel_code", "day"], set_=more)
            )
        return key.store(200, {"kind": touches.CHANNEL, "counts_days": None})


def first_of(visitors: Sequence[str], channel_code: str | None) -> str | None:
    """The channel that brought a newcomer: the first they touched, else the one they join by."""
    return touches.first(touches.CHANNEL, visitors) or channel_code


def welcome(member_id: int, channel_code: str | None, *, now: datetime) -> dict[str, Any] | None:
    """Give a newcomer at once what the store's code says that they join by; None where nothing.

    The caller's transaction has just made the member.
    """
    channel = _open(channel_code, now) if channel_code else None
    if channel is None or not channel.bundle_code:
        return None
    with atomic():
        book = points.open_book([member_id], now=now)
        gift = Gift(member_id, channel.bundle_code, GIFT, str(member_id), reason="到店入会礼")
        (given,) = bundles.give_many([gift], book=book, now=now)
        book.write()
    return {"state": given.state, "name": given.name, "points": given.points, "units": given.units}


def report(first_day: date, last_day: date) -> list[dict[str, Any]]:
    """What each channel brought in some days: scans, joins, and of those who joined then the ones
    who have bought since; with what it cost for each. Codes that are no channel's come last."""
    scans = sa.select(ChannelDay.channel_code, sa.func.sum(ChannelDay.scans).label("scans")).where(
        ChannelDay.day.between(first_day, last_day)
    )
    scanned = {
        row.channel_code: int(row.scans) for row in read(scans.group_by(ChannelDay.channel_code))
    }
    bought = sa.exists().where(
        Purchase.member_id == Member.id,
        Purchase.undone_at.is_(None),
        Purchase.amount_fen > Purchase.refunded_fen,
    )
    counted = sa.func.count()
    columns = (Member.channel_code, counted.label("joins"), counted.filter(bought).label("buyers"))
    joins = (
        sa.select(*columns)
        .where(
            Member.channel_code.is_not(None),
            Member.joined_at >= clock.start_of_day(first_day),
            Member.joined_at < clock.end_of_day(last_day),
        )
        .group_by(Member.channel_code)
    )
    joined = {row.channel_code: (int(row.joins), int(row.buyers)) for row in read(joins)}
    known = {row.code: row for row in read(sa.select(Channel.__table__).order_by(Channel.id))}
    rest = sorted(set(joined) - set(known))
    return [_line(code, known.get(code), scanned, joined) for code in [*known, *rest]]


def _line(
    code: str, channel: Any, scanned: dict[str, int], joined: dict[str, tuple[int, int]]
) -> dict[str, Any]:
    joins, buyers = joined.get(code, (0, 0))
    cost = channel.cost_fen if channel else 0
    return {
        "code": code,
        "name": channel.name if channel else "",
        "kind": channel.kind if channel else None,
        "owner": channel.owner if channel else "",
        "cost_fen": cost,
        "scans": scanned.get(code, 0),
        "joins": joins,
        "first_purchases": buyers,
        "cost_per_join_fen": cost // joins if joins else None,
        "cost_per_purchase_fen": cost // buyers if buyers else None,
    }
