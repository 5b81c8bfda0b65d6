"""Alarms: a mismatch freezes the spending of the account it concerns and stays until a person clears it.

Nothing is mended by itself: figures that disagree don't say which of them is right.
"""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from mall import metrics, points
from mall.atomic import atomic, end_reading
from mall.errors import NotFound, StillWrong
from mall.idempotency import Answer, Key
from mall.ledger.checks import (
    balance_is_sum_of_entries,
    balance_is_sum_of_lots,
    each_entry_follows_from_the_one_before,
    find_among,
)
from mall.ledger.proof import verify
from mall.points.account import AccountInBook
from models import (
    Account,
    Alarm,
    BalanceSettlement,
    LedgerEntry,
    Purchase,
    Voucher,
    db,
)
from models.base import insert

log = logging.getLogger(__name__)

RAISED_AT_ONCE = 200
SUMS = (balance_is_sum_of_entries.__name__, balance_is_sum_of_lots.__name__)
OF_BALANCES = (*SUMS, each_entry_follows_from_the_one_before.__name__)
OWNERS: dict[str, Any] = {  # whose account a wrong row of a kind concerns
    "account": (Account.member_id, Account.member_id),
    "member": (Account.member_id, Account.member_id),
    "entry": (LedgerEntry.id, LedgerEntry.member_id),
    "purchase": (Purchase.id, Purchase.member_id),
    "voucher": (Voucher.id, Voucher.member_id),
}


def prove(*, now: datetime) -> dict[str, Any]:
    """Verify; what is wrong is noted as an alarm, and its account can't spend from then on."""
    proof = verify()
    end_reading()
    for _, found in groupby(proof["mismatches"], key=itemgetter("check")):
        for some in _batched({each["id"]: each for each in found}.values()):
            _raise(some, now)
    return proof


def _batched(found: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    waiting = iter(found)
    while some := list(islice(waiting, RAISED_AT_ONCE)):
        yield some


def _raise(found: Sequence[dict[str, Any]], now: datetime) -> None:
    """Note mismatches of one check, each once while it is open, and freeze the accounts they concern.

    They are looked at again under the accounts' locks: one may have been read between two changes,
    or mended meanwhile.
    """
    with atomic():
        owners = _owners(found)
        points.open_book(owners.values(), now=now)
        wrong = _still_wrong(found[0]["check"], [each["id"] for each in found], owners.values())
        raised = _note([_alarm(each, owners, now) for each in found if each["id"] in wrong])
        if not raised:
            return
        for each in found:
            if each["id"] in raised:
                log.error("the ledger does not add up: %s", each)
        metrics.count("ledger_mismatches", len(raised))
        _set_state({owners[each] for each in raised if each in owners}, "open", "frozen")


def _owners(found: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Whose account each wrong row concerns, where it is anybody's."""
    if found[0]["subject"] not in OWNERS:
        return {}
    key, owner = OWNERS[found[0]["subject"]]
    query = sa.select(key.label("id"), owner.label("member_id"))
    theirs = query.where(key.in_([each["id"] for each in found]), owner.is_not(None))
    with atomic() as transaction:
        return {row.id: row.member_id for row in transaction.execute(theirs)}


def _alarm(found: dict[str, Any], owners: dict[int, int], now: datetime) -> dict[str, Any]:
    return {
        "check_name": found["check"],
        "subject": found["subject"],
        "subject_id": found["id"],
        "member_id": owners.get(found["id"]),
        "expected": found["expected"][:64],
        "actual": found["actual"][:64],
        "found_at": now,
        "note": "",
    }


def _note(alarms: list[dict[str, Any]]) -> set[int]:
    """Write alarms down; answers the rows that had none yet."""
    if not alarms:
        return set()
    statement = insert(Alarm).on_conflict_do_nothing().returning(Alarm.subject_id)
    with atomic() as transaction:
        return set(transaction.execute(statement, alarms).scalars())


def _set_state(member_ids: Collection[int], before: str, after: str) -> None:
    with atomic() as transaction:
        transaction.execute(
            sa.update(Account)
            .where(Account.member_id.in_(member_ids), Account.state == before)
            .values(state=after)
            .execution_options(synchronize_session=False)
        )


def open_alarms() -> sa.Select[Any]:
    """Alarms nobody has cleared."""
    return sa.select(Alarm).where(Alarm.cleared_at.is_(None))


def clear(alarm_id: int, *, note: str, staff_id: int, key: Key, now: datetime) -> Answer:
    """Clear an alarm whose check finds nothing wrong any more; the last one thaws the account.

    Entries can't be changed. Where an account's balance is proved right again, whoever clears the
    alarm answers for what earlier entries say of it, and the next one goes on from there.
    """
    with atomic() as transaction:
        key.claim(now=now)
        alarm = db.session.get(Alarm, alarm_id)
        if alarm is None:
            raise NotFound()
        owner = [] if alarm.member_id is None else [alarm.member_id]
        accounts = points.open_book(owner, now=now).accounts.values()
        if alarm.check_name in OF_BALANCES:
            for account in accounts:
                _settle(account, alarm_id, now)
        if _still_wrong(alarm.check_name, [alarm.subject_id], owner):
            raise StillWrong()
        transaction.execute(
            sa.update(Alarm)
            .where(Alarm.id == alarm_id, Alarm.cleared_at.is_(None))
            .values(cleared_at=now, cleared_by=staff_id, note=note)
            .execution_options(synchronize_session=False)
        )
        if alarm.member_id is not None and not _others(alarm.member_id):
            _set_state(owner, "frozen", "open")
        return key.store(200, {"id": alarm_id, "cleared": True})


def _settle(account: AccountInBook, alarm_id: int, now: datetime) -> None:
    """Let an account's entries go on from its balance, where that is what entries and lots add up to."""
    whose = [account.member_id]
    if any(_still_wrong(check, whose, whose) for check in SUMS):
        return
    row = {
        "member_id": account.member_id,
        "seq": account.entries,
        "balance_points": account.balance_points,
        "alarm_id": alarm_id,
        "settled_at": now,
    }
    statement = insert(BalanceSettlement).values(**row)
    changed = {name: statement.excluded[name] for name in row if name != "member_id"}
    with atomic() as transaction:
        transaction.execute(
            statement.on_conflict_do_update(index_elements=["member_id"], set_=changed)
        )


def _still_wrong(check: str, ids: Collection[int], members: Collection[int]) -> set[int]:
    """Which of some rows a check finds wrong now."""
    with atomic() as transaction:
        return set(transaction.execute(find_among(check, ids, members)).scalars())


def _others(member_id: int) -> bool:
    query = open_alarms().with_only_columns(Alarm.id).where(Alarm.member_id == member_id)
    with atomic() as transaction:
        return transaction.execute(query.limit(1)).first() is not None
