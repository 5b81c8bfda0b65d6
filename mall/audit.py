"""The audit log: who did what to what, before and after, each entry tied to the one before it.

An entry's tag is HMAC-SHA256, under a key of the ring, of the entry as canonical JSON and of the
tag before it. So whoever can write to the database but has not the keys can change, drop or insert
nothing in the middle unseen; an end that is cut off shows against a tag that was kept elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, keys
from mall.atomic import atomic, read
from models import AuditEntry, AuditHead, AuditWaiting
from models.base import insert, table_of

PURPOSE = "audit"
FIRST = "0" * 64  # stands before the first entry
READ_AT_ONCE = 500
SECRET = (
    *("password", "password_hash", "token_hash", "code_hmac", "nonce"),
    *("otp", "secret", "otpauth_uri", "access_token", "scan_token"),
)
NUMBERS = ("phone", "contact_phone", "id_number")
# Of members nothing that names them: the chain is only added to, and they may ask to be forgotten.
PERSONAL = ("nickname", "phone_masked", "birthday", "city", "openid", "unionid", "external_id")
SEALED = ("sealed", "phone_sealed", "phone_hash", "phone_match")
CHAIN, HEAD, WAITING = table_of(AuditEntry), table_of(AuditHead), table_of(AuditWaiting)
COLLECTED_AT_ONCE = 200


@dataclass(frozen=True)
class Act:
    """What somebody did: `action` to the subject, which was `before` and is `after`."""

    actor: str
    action: str
    subject_kind: str
    subject_id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    address: str = ""


def begin() -> Any:
    """Take the end of the chain: until this transaction ends nobody else can act and be noted.

    First thing in it, so that what a row was before is what the one before has left. Shoppers take
    it never, so it stands before every other lock.
    """
    with atomic() as transaction:
        opened = insert(AuditHead).values(id=1, seq=0, tag=FIRST).on_conflict_do_nothing()
        transaction.execute(opened)
        return transaction.execute(sa.select(HEAD).with_for_update()).one()


def note(act: Act, *, now: datetime) -> int:
    """Add an act to the chain, in its own transaction; answers its number."""
    with atomic() as transaction:
        head = begin()
        row = {
            "seq": head.seq + 1,
            "at": now,
            **{name: getattr(act, name) for name in ("actor", "address", "action")},
            **{"subject_kind": act.subject_kind, "subject_id": act.subject_id[:64]},
            **{"before": plain(act.before), "after": plain(act.after)},
            "key_name": keys.signing_name(),
        }
        tag = _tag(row, head.tag)
        transaction.execute(sa.insert(CHAIN).values(**row, tag=tag))
        transaction.execute(sa.update(HEAD).values(seq=row["seq"], tag=tag))
    return int(row["seq"])


def leave(act: Act, *, now: datetime) -> None:
    """Write an act down in its own transaction without waiting for the chain's end; see `collect`."""
    row = {
        "at": now,
        **{name: getattr(act, name) for name in ("actor", "address", "action", "subject_kind")},
        **{"subject_id": act.subject_id[:64], "after": plain(act.after)},
    }
    with atomic() as transaction:
        transaction.execute(insert(AuditWaiting).values(**row))


def collect() -> int:
    """Add a bounded batch of what was left to the chain, in order; answers how much."""
    waiting = sa.select(WAITING).order_by(WAITING.c.id).limit(COLLECTED_AT_ONCE)
    if not read(waiting.with_only_columns(WAITING.c.id).limit(1)):
        return 0
    with atomic() as transaction:
        begin()  # whoever holds the end is alone: nothing is added twice
        rows = transaction.execute(waiting).all()
        for row in rows:
            told = {name: value for name, value in row._mapping.items() if name not in ("id", "at")}
            note(Act(**told), now=row.at)
        done = [row.id for row in rows]
        transaction.execute(sa.delete(WAITING).where(WAITING.c.id.in_(done)))
    return len(rows)


def plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Values as JSON can hold them: no secrets, and of phone numbers only the ends, of members no names."""
    if values is None:
        return None
    return {
        name: _plain(name, value) for name, value in values.items() if name not in SECRET + SEALED
    }


def _plain(name: str, value: Any) -> Any:
    if name in PERSONAL and value:
        return "****"
    if name in NUMBERS and isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(name, each) for each in value]
    if isinstance(value, datetime):
        return clock.rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def masked(number: str) -> str:
    """A phone number of which only the ends show: 138****0001."""
    return f"{number[:3]}****{number[-4:]}" if len(number) > 7 else "****"


def _tag(row: Mapping[str, Any], previous: str) -> str:
    told = {name: row[name] for name in row.keys() - {"tag", "at"}}
    told |= {"at": row["at"].astimezone(UTC).isoformat(), "previous": previous}
    message = json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    digest = keys.digest(PURPOSE, row["key_name"], message)
    return digest.hex() if digest is not None else ""


@dataclass(frozen=True)
class Chain:
    """What a look at the whole chain found: its end, and where it first breaks."""

    entries: int
    tag: str
    broken_at: int | None = None


def verify() -> Chain:
    """Compute every entry's tag anew, in order. A gap breaks the chain as well as a change."""
    found = read(sa.select(HEAD))
    end = found[0].seq if found else 0
    previous, seq = FIRST, 0
    while seq < end:
        query = sa.select(CHAIN).where(CHAIN.c.seq > seq).order_by(CHAIN.c.seq)
        rows = read(query.limit(min(READ_AT_ONCE, end - seq)))
        for row in rows:
            if row.seq != seq + 1 or not keys.same(_tag(dict(row._mapping), previous), row.tag):
                return Chain(seq, previous, broken_at=seq + 1)
            seq, previous = row.seq, row.tag
        if not rows:
            return Chain(seq, previous, broken_at=seq + 1)
    whole = not found or found[0].tag == previous
    return Chain(seq, previous, broken_at=None if whole else seq)


def holds(seq: int, tag: str) -> bool:
    """Whether an end that was kept elsewhere is still in the chain; before the first is always."""
    rows = read(sa.select(CHAIN.c.tag).where(CHAIN.c.seq == seq))
    return keys.same(rows[0].tag if rows else None, tag) or (seq, tag) == (0, FIRST)


def entries(**only: str) -> sa.Select[Any]:
    """Entries whose columns are as asked."""
    query = sa.select(AuditEntry)
    for name, value in only.items():
        query = query.where(getattr(AuditEntry, name) == value)
    return query


def view(entry: AuditEntry) -> dict[str, Any]:
    names = ("actor", "address", "action", "subject_kind", "subject_id", "before", "after")
    shown = {name: getattr(entry, name) for name in names}
    return {"id": entry.seq, **shown, "at": clock.rfc3339(entry.at), "tag": entry.tag}
