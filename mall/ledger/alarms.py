"""Alarms: a mismatch freezes the spending of the account it concerns and stays until a person clears it.

Nothing is mended by itself: figures that disagree don't say which of them is right.
"""

import logging
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import metrics, points
from mall.atomic import atomic
from mall.errors import NotFound, StillWrong
from mall.idempotency import Answer, Key
from mall.ledger.checks import CHECKS
from mall.ledger.proof import verify
from models import (
    Account,
    Alarm,
    LedgerEntry,
    Purchase,
    Voucher,
    db,
)
from models.base import insert

log = logging.getLogger(__name__)

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
    db.session.rollback()
    for found in proof["mismatches"]:
        _raise(found, now)
    return proof


def _raise(found: dict[str, Any], now: datetime) -> None:
    """Note one mismatch, once while it is open, and freeze the account it concerns."""
    with atomic() as transaction:
        member_id = _owner(found)
        if member_id is not None:
            points.open_book([member_id], now=now)
        if not _is_wrong(found["check"], found["id"]):
            return  # it was read between two changes, or somebody has mended it
        row = {
            "check_name": found["check"],
            "subject": found["subject"],
            "subject_id": found["id"],
            "member_id": member_id,
            "expected": found["expected"][:64],
            "actual": found["actual"][:64],
            "found_at": now,
            "note": "",
        }
        statement = insert(Alarm).values(**row).on_conflict_do_nothing().returning(Alarm.id)
        if transaction.execute(statement).scalar() is None:
            return
        log.error("the ledger does not add up: %s", found)
        metrics.count("ledger_mismatches")
        if member_id is not None:
            _set_state(member_id, "open", "frozen")


def _owner(found: dict[str, Any]) -> int | None:
    if found["subject"] not in OWNERS:
        return None
    key, owner = OWNERS[found["subject"]]
    with atomic() as transaction:
        member_id: int | None = transaction.execute(
            sa.select(owner).where(key == found["id"])
        ).scalar()
    return member_id


def _set_state(member_id: int, before: str, after: str) -> None:
    with atomic() as transaction:
        transaction.execute(
            sa.update(Account)
            .where(Account.member_id == member_id, Account.state == before)
            .values(state=after)
            .execution_options(synchronize_session=False)
        )


def open_alarms() -> sa.Select[Any]:
    """Alarms nobody has cleared."""
    return sa.select(Alarm).where(Alarm.cleared_at.is_(None))


def clear(alarm_id: int, *, note: str, staff_id: int, key: Key, now: datetime) -> Answer:
    """Clear an alarm whose check finds nothing wrong any more; the last one thaws the account."""
    with atomic() as transaction:
        key.claim(now=now)
        alarm = db.session.get(Alarm, alarm_id)
        if alarm is None:
            raise NotFound()
        if alarm.member_id is not None:
            points.open_book([alarm.member_id], now=now)
        if _is_wrong(alarm.check_name, alarm.subject_id):
            raise StillWrong()
        transaction.execute(
            sa.update(Alarm)
            .where(Alarm.id == alarm_id, Alarm.cleared_at.is_(None))
            .values(cleared_at=now, cleared_by=staff_id, note=note)
            .execution_options(synchronize_session=False)
        )
        if alarm.member_id is not None and not _others(alarm.member_id):
            _set_state(alarm.member_id, "frozen", "open")
        return key.store(200, {"id": alarm_id, "cleared": True})


def _is_wrong(check_name: str, subject_id: int) -> bool:
    """Whether a check finds this one row wrong now."""
    check = next(check for _, check in CHECKS if check.__name__ == check_name)
    found = check().subquery()
    with atomic() as transaction:
        row = transaction.execute(sa.select(found.c.id).where(found.c.id == subject_id))
        return row.first() is not None


def _others(member_id: int) -> bool:
    query = open_alarms().with_only_columns(Alarm.id).where(Alarm.member_id == member_id)
    with atomic() as transaction:
        return transaction.execute(query.limit(1)).first() is not None
