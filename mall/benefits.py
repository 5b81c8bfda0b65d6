"""Benefits that are used up: a member's uses in a period, and a row for each of them.

A tier's quotas are granted when they are first asked for in a period, so nobody's month begins with
a job. Whoever rises within a period has what the higher tier gives beyond it; who falls keeps what
the period gave. A use takes one from the row under condition; undone, it puts back that very one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, tiers
from mall.atomic import atomic
from mall.errors import (
    BenefitExpired,
    BenefitUsedUp,
    BenefitUseKnown,
    MemberClosed,
    NotFound,
)
from mall.events import BenefitUsed, BenefitUseUndone, record
from mall.idempotency import Answer, Key
from mall.tiers import Quota
from models import Account, Benefit, BenefitEntry, Staff, Store, db
from models.base import insert, table_of

EXPIRED_AT_ONCE = 500
EVER = "ever"
MAX_MERGES = 100


@dataclass(frozen=True)
class Grant:
    """Uses of a benefit for a member in the period that it is; `ref` counts once."""

    member_id: int
    quota: Quota
    ref: str


def period_of(period: str, now: datetime) -> tuple[str, datetime | None]:
    """The name of the period that a moment is in, and its end."""
    day = clock.business_day(now)
    if period == "day":
        return day.isoformat(), clock.end_of_day(day)
    if period == "month":
        return f"{day:%Y-%m}", clock.end_of_month_after(now, 0)
    if period == "year":
        return f"{day.year}", clock.start_of_day(date(day.year + 1, 1, 1))
    return EVER, None


def grant_many(grants: Sequence[Grant], *, now: datetime) -> int:
    """Give members uses beside those they have; each cause once. Needs the accounts' locks."""
    given = 0
    for each in grants:
        given += _grant(each.member_id, each.quota, each.quota.uses, each.ref, now)
    return given


def _grant(member_id: int, quota: Quota, uses: int, ref: str, now: datetime) -> int:
    """Write a grant and add its uses to the period's row; 0 where the cause has given before."""
    name, ends_at = period_of(quota.period, now)
    row = {"member_id": member_id, "code": quota.code, "name": quota.name, "period": name}
    return _add({**row, "expires_at": ends_at}, uses, ref, now)


def _add(row: dict[str, Any], uses: int, ref: str, now: datetime) -> int:
    """Add uses to the row of a member, code and period, made where there is none."""
    table, member_id = table_of(Benefit), row["member_id"]
    blank = {"uses_granted": 0, "uses_left": 0, "created_at": now}
    keys = [table.c[name] == row[name] for name in ("member_id", "code", "period")]
    with atomic() as transaction:
        transaction.execute(insert(Benefit).values(**row, **blank).on_conflict_do_nothing())
        there = sa.select(table.c.id, table.c.uses_left).where(*keys)
        benefit = transaction.execute(there).one()
        entry = _entry(benefit.id, member_id, "granted", uses, benefit.uses_left + uses, ref, now)
        statement = insert(BenefitEntry).values(**entry).on_conflict_do_nothing()
        if transaction.execute(statement.returning(BenefitEntry.id)).scalar() is None:
            return 0
        more = {"uses_granted": table.c.uses_granted + uses, "uses_left": table.c.uses_left + uses}
        transaction.execute(sa.update(table).where(table.c.id == benefit.id).values(**more))
    return uses


def _entry(
    benefit_id: int, member_id: int, kind: str, delta: int, left: int, ref: str, now: datetime
) -> dict[str, Any]:
    return {
        "benefit_id": benefit_id,
        "member_id": member_id,
        "kind": kind,
        "delta_uses": delta,
        "uses_left_after": left,
        "ref": ref,
        "created_at": now,
    }


def _lock(member_id: int) -> str:
    """Lock a member's account; answers the tier."""
    query = sa.select(Account.tier_code, Account.state).where(Account.member_id == member_id)
    with atomic() as transaction:
        account = transaction.execute(query.with_for_update(key_share=True)).one_or_none()
    if account is None:
        raise NotFound()
    if account.state == "closed":
        raise MemberClosed()
    return str(account.tier_code)


def _top_up(member_id: int, tier_code: str, now: datetime) -> None:
    """Grant what the tier gives in this period and is not granted yet."""
    for quota in tiers.benefits(tier_code).quotas:
        name, _ = period_of(quota.period, now)
        prefix = f"tier:{member_id}:{quota.code}:{name}:"
        entry = table_of(BenefitEntry).c
        query = sa.select(sa.func.coalesce(sa.func.sum(entry.delta_uses), 0)).where(
            entry.member_id == member_id,
            entry.kind == "granted",
            entry.ref.startswith(prefix, autoescape=True),
        )
        with atomic() as transaction:
            given = int(transaction.execute(query).scalar_one())
        if quota.uses > given:
            _grant(member_id, quota, quota.uses - given, f"{prefix}{quota.uses}", now)


def usable(member_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """What a member can use in this period, with what is left of it; the used up are shown as such."""
    with atomic() as transaction:
        _top_up(member_id, _lock(member_id), now)
        table = table_of(Benefit).c
        good = sa.or_(table.expires_at.is_(None), table.expires_at > now)
        query = sa.select(Benefit.__table__).where(table.member_id == member_id, good)
        rows = transaction.execute(query.order_by(table.code, table.id)).all()
    return [view(row) for row in rows]


def view(row: Any) -> dict[str, Any]:
    names = ("id", "code", "name", "period", "uses_granted", "uses_left")
    ends = clock.rfc3339(row.expires_at) if row.expires_at else None
    return {**{name: getattr(row, name) for name in names}, "expires_at": ends}


def use(code: str, member_id: int, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Use a benefit once for a member: a row that says where, by whom and when."""
    table = table_of(Benefit)
    with atomic() as transaction:
        key.claim(now=now)
        _top_up(member_id, _lock(member_id), now)
        good = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now)
        mine = (table.c.member_id == member_id) & (table.c.code == code) & good
        first = table.c.expires_at.is_(None), table.c.expires_at, table.c.id
        found = transaction.execute(sa.select(table).where(mine).order_by(*first)).all()
        if not found:
            raise NotFound()
        benefit = next((each for each in found if each.uses_left), None)
        if benefit is None:
            raise _used_up(found[0])
        _move(benefit.id, -1)
        number = sa.select(sa.func.count()).where(
            table_of(BenefitEntry).c.benefit_id == benefit.id,
            table_of(BenefitEntry).c.kind == "used",
        )
        ref = f"{benefit.id}:{transaction.execute(number).scalar_one() + 1}"
        left = benefit.uses_left - 1
        entry = _entry(benefit.id, member_id, "used", -1, left, ref, now)
        at = {"store_id": clerk.store_id, "staff_id": clerk.id}
        statement = insert(BenefitEntry).values(**entry, **at).returning(BenefitEntry.id)
        use_id = transaction.execute(statement).scalar_one()
        record(BenefitUsed(member_id, use_id, code), now=now)
        after = {**view(benefit), "uses_left": left}
        return key.store(201, {"use": use_view(_find_use(use_id)), "benefit": after})


def _used_up(benefit: Any) -> BenefitUsedUp:
    ends = clock.rfc3339(benefit.expires_at) if benefit.expires_at else None
    zh, en = (
        (f"{ends} 后重新发放", f"it starts anew at {ends}") if ends else ("不再发放", "no more")
    )
    return BenefitUsedUp(
        name=benefit.name, uses=benefit.uses_granted, opens_at=ends, next=zh, next_en=en
    )


def _move(benefit_id: int, delta: int) -> None:
    """Take or put back uses, never below none nor above what was granted."""
    table = table_of(Benefit)
    after = table.c.uses_left + delta
    with atomic() as transaction:
        moved = transaction.execute(
            sa.update(table)
            .where(table.c.id == benefit_id, after >= 0, after <= table.c.uses_granted)
            .values(uses_left=after)
        )
    assert moved.rowcount == 1, "a benefit's uses moved without its account's lock"


def _find_use(use_id: int) -> Any:
    """A use with its benefit and, where it was undone, that row."""
    use_, back = table_of(BenefitEntry), table_of(BenefitEntry).alias("back")
    benefit = table_of(Benefit)
    query = (
        sa.select(use_, benefit.c.code, benefit.c.name, benefit.c.expires_at)
        .add_columns(back.c.created_at.label("undone_at"))
        .join(benefit, benefit.c.id == use_.c.benefit_id)
        .outerjoin(back, (back.c.kind == "undone") & (back.c.ref == use_.c.ref))
        .where(use_.c.id == use_id, use_.c.kind == "used")
    )
    with atomic() as transaction:
        return transaction.execute(query).one_or_none()


def use_view(row: Any) -> dict[str, Any]:
    """A use as a clerk verifies it: what, for whom, where, by whom, when, and whether it was undone."""
    store = db.session.get(Store, row.store_id) if row.store_id else None
    by = db.session.get(Staff, row.staff_id) if row.staff_id else None
    return {
        "id": row.id,
        "member_id": row.member_id,
        "code": row.code,
        "name": row.name,
        "used_at": clock.rfc3339(row.created_at),
        "store": store.name if store else None,
        "used_by": by.name if by else None,
        "undone_at": clock.rfc3339(row.undone_at) if row.undone_at else None,
    }


def show_use(use_id: int, *, clerk: Staff) -> dict[str, Any]:
    """One use at this clerk's store; another store's is nobody's."""
    row = _find_use(use_id)
    if row is None or row.store_id != clerk.store_id:
        raise NotFound()
    return use_view(row)


def undo(use_id: int, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Take a use back, once and within its period: the member can use it again."""
    row = _find_use(use_id)
    if row is None or row.store_id != clerk.store_id:
        raise NotFound()
    with atomic() as transaction:
        key.claim(now=now)
        _lock(row.member_id)
        if row.expires_at is not None and row.expires_at <= now:
            raise BenefitExpired(expires_at=clock.rfc3339(row.expires_at))
        left = sa.select(Benefit.uses_left).where(Benefit.id == row.benefit_id)
        after = transaction.execute(left).scalar_one() + 1
        entry = _entry(row.benefit_id, row.member_id, "undone", 1, after, row.ref, now)
        at = {"store_id": clerk.store_id, "staff_id": clerk.id}
        statement = insert(BenefitEntry).values(**entry, **at).on_conflict_do_nothing()
        if transaction.execute(statement.returning(BenefitEntry.id)).scalar() is None:
            raise BenefitUseKnown()
        _move(row.benefit_id, 1)
        record(BenefitUseUndone(row.member_id, use_id, row.code), now=now)
        return key.store(200, use_view(_find_use(use_id)))


def take_back(ref: str, *, now: datetime) -> int:
    """Take back uses that a cause granted, as far as nobody has used them; answers how many.

    Needs the account's lock. What went along with a merge of members is taken from where it went.
    """
    table, entry = table_of(Benefit), table_of(BenefitEntry).c
    with atomic() as transaction:
        granted = sa.select(entry.benefit_id, entry.delta_uses).where(
            entry.kind == "granted", entry.ref == ref
        )
        found = transaction.execute(granted).one_or_none()
        if found is None:
            return 0
        benefit_id = _moved_to(found.benefit_id)
        row = transaction.execute(sa.select(table).where(table.c.id == benefit_id)).one()
        gone: int = min(row.uses_left, found.delta_uses)
        if not gone:
            return 0
        after = row.uses_left - gone
        taken = _entry(row.id, row.member_id, "taken_back", -gone, after, ref, now)
        statement = insert(BenefitEntry).values(**taken).on_conflict_do_nothing()
        if transaction.execute(statement.returning(BenefitEntry.id)).scalar() is None:
            return 0
        _move(row.id, -gone)
        return gone


def _moved_to(benefit_id: int) -> int:
    """Where the uses of a row are, after any number of merges."""
    entry = table_of(BenefitEntry).c
    for _ in range(MAX_MERGES):
        into = sa.select(entry.benefit_id).where(
            entry.kind == "granted", entry.ref == f"merge:{benefit_id}"
        )
        with atomic() as transaction:
            found = transaction.execute(into).scalar()
        if found is None:
            return benefit_id
        benefit_id = found
    return benefit_id


def join(from_id: int, into_id: int, *, now: datetime) -> None:
    """Let one member have what another still can use, in the same periods. Needs both locks."""
    table = table_of(Benefit)
    good = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > now)
    theirs = (table.c.member_id == from_id) & (table.c.uses_left > 0) & good
    with atomic() as transaction:
        for row in transaction.execute(sa.select(table).where(theirs).order_by(table.c.id)).all():
            ref = f"merge:{row.id}"
            _move(row.id, -row.uses_left)
            gone = _entry(row.id, from_id, "taken_back", -row.uses_left, 0, ref, now)
            transaction.execute(insert(BenefitEntry), [gone])
            into = {"member_id": into_id, "code": row.code, "name": row.name}
            period = {"period": row.period, "expires_at": row.expires_at}
            _add({**into, **period}, row.uses_left, ref, now)


def expire_due(*, now: datetime) -> int:
    """Write off what is left of a bounded batch of periods that are over; answers how many."""
    table = table_of(Benefit)
    due = sa.select(table.c.id, table.c.member_id).where(
        table.c.uses_left > 0, table.c.expires_at <= now
    )
    with atomic() as transaction:
        rows = transaction.execute(due.order_by(table.c.expires_at).limit(EXPIRED_AT_ONCE)).all()
        ids = [row.id for row in rows]
        owners = sa.select(Account.member_id).where(
            Account.member_id.in_({row.member_id for row in rows})
        )
        owned = owners.order_by(Account.member_id).with_for_update(key_share=True)
        transaction.execute(owned)
        still = sa.select(table.c.id, table.c.member_id, table.c.uses_left)
        left = transaction.execute(still.where(table.c.id.in_(ids), table.c.uses_left > 0)).all()
        if left:
            entries = [
                _entry(each.id, each.member_id, "expired", -each.uses_left, 0, str(each.id), now)
                for each in left
            ]
            transaction.execute(insert(BenefitEntry), entries)
            gone = sa.update(table).where(table.c.id.in_([each.id for each in left]))
            transaction.execute(gone.values(uses_left=0))
    return len(rows)
