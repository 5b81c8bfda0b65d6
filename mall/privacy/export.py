"""A copy of everything there is of a member, in their own hands.

Every table that names a member is in it, whole, but for what is no information about them: marks,
keys and secrets. A test holds the two lists against the database.
"""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import addresses, clock, phones, profiles
from mall.atomic import read
from mall.members import find
from mall.privacy.consents import said_by
from models import db
from models.base import Base

LEFT_OUT = {  # why
    "accounts": "its figures are in `account`",
    "alarms": "what the ledger's own proof found",
    "balance_settlements": "what a person found right of it",
    "campaign_members": "whom a campaign has still to give to",
    "closures": "there is none while a copy can be asked for",
    "events": "facts on their way; what came of them is in the other tables",
    "earning_counters": "figures from which caps are counted",
    "growth_counts": "figures from which caps are counted",
    "limit_counters": "figures from which limits are counted",
    "member_code_uses": "codes that were used up",
    "merges": "in both members' histories",
    "referrals": "told under `friends`, without who they are",
    "sightings": "marks that tell nothing without the key ring",
    "task_marks": "figures from which tasks are counted",
}
SECRET = {"request_key", "lease", "code_hmac", "nonce", "phone_hash", "key_name"}


def copy_of(member_id: int, *, now: datetime) -> dict[str, Any]:
    """Everything there is of a member: profile, account, consents and the rows of every table."""
    member = find(member_id)
    return {
        "exported_at": clock.rfc3339(now),
        "profile": {**profiles.view(member), "phone": phones.of(member)},
        "account": _account(member_id),
        "consents": said_by(member_id),
        "friends": _friends(member_id),
        "records": {table.name: _rows(table, member_id) for table in exported()},
    }


def exported() -> list[sa.Table]:
    """The tables whose rows are a member's."""
    return [
        table
        for table in db.metadata.sorted_tables
        if table.name not in LEFT_OUT and _owners(table)
    ]


def _owners(table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that name a member."""
    return [
        key.parent
        for key in table.foreign_keys
        if key.column.table.name in ("members", "accounts") and table.name != "accounts"
    ]


def _account(member_id: int) -> dict[str, Any]:
    table = Base.metadata.tables["accounts"]
    (row,) = read(sa.select(table).where(table.c.member_id == member_id))
    return _plain(row)


def _friends(member_id: int) -> dict[str, Any]:
    """When friends joined and what they brought; who they are is theirs."""
    table = Base.metadata.tables["referrals"]
    rows = read(sa.select(table).where(table.c.inviter_id == member_id))
    names = ("state", "reason", "points", "joined_at", "rewarded_at")
    shown = [{name: _plain(row)[name] for name in names} for row in rows]
    by = read(sa.select(table.c.joined_at).where(table.c.invitee_id == member_id))
    return {"invited": shown, "was_invited": bool(by)}


def _rows(table: sa.Table, member_id: int) -> list[dict[str, Any]]:
    mine = [column == member_id for column in _owners(table)]
    query = sa.select(table).where(sa.or_(*mine))
    return [_plain(row) for row in read(query.order_by(*table.primary_key.columns))]


def _plain(row: sa.Row[Any]) -> dict[str, Any]:
    return {
        name: _said(name, value)
        for name, value in row._mapping.items()
        if name not in SECRET and not isinstance(value, bytes)
    }


def _said(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    return addresses.opened(value) if name == "address" else value
