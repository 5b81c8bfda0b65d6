"""Asking twice is asking once: the answer is stored beside its effect, and given again.

A key belongs to its caller and route. It is claimed first in the transaction, which makes a twin
wait, and its answer is stored last, so that effect and answer stand or fall together. Only a 2xx
is stored; a refusal changed nothing and is judged anew.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from mall import keys
from mall.atomic import WAITED_TOO_LONG, atomic, read, sqlstate_of
from mall.errors import KeyExpired, KeyInProgress, KeyReused, MallError
from models import IdempotencyKey, db
from models.base import insert, per_dialect, table_of

KEPT = timedelta(days=7)
PRUNED_AT_ONCE = 1000
PURPOSE = "stored answer"
DONE, ABORTED = "done", "aborted"
_table = table_of(IdempotencyKey)
_name = (_table.c.caller, _table.c.route, _table.c.key)
_ROWS = sa.select(
    *_name, _table.c.fingerprint, _table.c.state, _table.c.status, _table.c.body
).where(sa.tuple_(*_name).in_(sa.bindparam("wanted", expanding=True)))


@dataclass(frozen=True)
class Answer:
    """What a verb answers: an HTTP status and the very bytes of its body."""

    status: int
    body: bytes
    replayed: bool = False


class Replayed(Exception):
    """The twin of this request has finished: here is its answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


@dataclass(frozen=True)
class Key:
    """A request's key. `text` is None where a client sent none and none is needed."""

    caller: str
    route: str
    text: str | None
    fingerprint: str = field(default="", repr=False)
    lease: str | None = None  # the gate's lease of this attempt; a tombstone names one it forbids
    sealed: bool = False  # the answer holds a secret, and is kept encrypted
    then: Callable[[Answer], None] | None = field(default=None, repr=False, compare=False)
    """What else is written with the answer, in its transaction."""

    def claim(self, *, now: datetime) -> None:
        """Take the key, first thing in the transaction; raises Replayed where a twin was first."""
        outcome = claim_many([self], now=now)[0]
        if isinstance(outcome, Exception):
            raise outcome

    def store(self, status: int, payload: dict[str, Any]) -> Answer:
        """Keep the answer, last thing in the transaction."""
        return self.keep(Answer(status, to_bytes(payload)))

    def drop(self) -> None:
        """Let the key go again: the refusal that follows is not its answer."""
        drop_many([self])

    def keep(self, answer: Answer) -> Answer:
        store_many([(self, answer)])
        return answer


def to_bytes(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def claim_many(wanted: Sequence[Key], *, now: datetime) -> list[Exception | None]:
    """Take keys in sorted order, so that two batches never wait for each other in a ring.

    A key whose attempt the reaper gave up may be taken by a later attempt, which has another lease.
    Answers, in the order given: None where the key is ours, else Replayed or a refusal.
    """
    named = sorted({_id(key): key for key in wanted if key.text is not None}.items())
    if not named:
        return [None] * len(wanted)
    rows = [
        {
            "caller": key.caller,
            "route": key.route,
            "key": key.text,
            "fingerprint": key.fingerprint,
            "state": "running",
            "body": key.lease.encode() if key.lease else None,
            "created_at": now,
        }
        for _, key in named
    ]
    with atomic() as transaction:
        try:
            ours = {tuple(row) for row in transaction.execute(_claim(), rows)}
        except DBAPIError as error:
            if sqlstate_of(error) in WAITED_TOO_LONG:  # only a running twin is waited for here
                raise KeyInProgress() from error
            raise
    return [None if key.text is None or _id(key) in ours else _twin_of(key) for key in wanted]


@per_dialect
def _claim() -> sa.Executable:
    statement = insert(IdempotencyKey)
    new, old = statement.excluded, IdempotencyKey
    claimed = statement.on_conflict_do_update(
        index_elements=["caller", "route", "key"],
        set_={"state": "running", "fingerprint": new.fingerprint, "body": new.body},
        where=(old.state == ABORTED) & (new.body.is_(None) | (_place_of(new.body, old.body) == 0)),
    )
    return claimed.returning(*_name)


def _place_of(part: Any, whole: Any) -> Any:
    """Where one text stands in another, from 1; 0 where it does not. Both are bytes."""
    if db.engine.dialect.name == "postgresql":
        return sa.func.position(part.op("IN")(whole))
    return sa.func.instr(whole, part)


def _joined(first: Any, second: Any) -> Any:
    dot = sa.literal(b".", sa.LargeBinary)
    joined = first.op("||")(dot).op("||")(second)
    return joined if db.engine.dialect.name == "postgresql" else sa.cast(joined, sa.LargeBinary)


def drop_many(claimed: Sequence[Key]) -> None:
    """Let claimed keys go: what they asked was refused, so it changed nothing and is judged anew."""
    named = [_id(key) for key in claimed if key.text is not None]
    if not named:
        return
    columns = sa.tuple_(IdempotencyKey.caller, IdempotencyKey.route, IdempotencyKey.key)
    with atomic() as transaction:
        transaction.execute(sa.delete(table_of(IdempotencyKey)).where(columns.in_(named)))


def _id(key: Key) -> tuple[str, str, str]:
    return key.caller, key.route, str(key.text)


def find(key: Key) -> Answer | None:
    """The stored answer of an earlier request with this key; raises where the key can't be used."""
    if key.text is None:
        return None
    row = _row_of(key)
    return None if row is None or row.state == ABORTED else _answer(row, key)


def find_many(wanted: Sequence[Key]) -> list[Answer | Exception | None]:
    """What `find` answers or raises for each of some keys, by one look."""
    named = [_id(key) for key in wanted if key.text is not None]
    if not named:
        return [None] * len(wanted)
    filled = named + named[-1:] * (_round(len(named)) - len(named))
    found = {tuple(row[:3]): row for row in read(_ROWS, {"wanted": filled})}
    return [_told(found.get(_id(key)), key) for key in wanted]


def _round(count: int) -> int:
    """The next power of two: a statement for each length would be prepared for each length."""
    return 1 << (count - 1).bit_length()


def _told(row: Any, key: Key) -> Answer | Exception | None:
    try:
        return None if row is None or row.state == ABORTED else _answer(row, key)
    except MallError as refusal:
        return refusal


def _row_of(key: Key) -> Any:
    rows = read(_ROWS, {"wanted": [_id(key)]})
    return rows[0] if rows else None


def _twin_of(key: Key) -> Exception:
    row = _row_of(key)
    if row is None:
        return KeyInProgress()
    try:
        return Replayed(_answer(row, key))
    except Exception as refusal:
        return refusal


def _answer(row: Any, key: Key) -> Answer:
    if row.state == ABORTED:  # a tombstone, which knows no fingerprint: this attempt was given up
        raise KeyInProgress()
    if row.fingerprint != key.fingerprint:
        raise KeyReused()
    if row.state != DONE:
        raise KeyInProgress()
    if row.body is None:
        raise KeyExpired()
    body = keys.unseal(PURPOSE, bytes(row.body)) if key.sealed else bytes(row.body)
    if body is None:
        raise KeyExpired()
    return Answer(row.status, body, replayed=True)


def store_many(answers: Sequence[tuple[Key, Answer]]) -> None:
    """Keep the answers of claimed keys."""
    rows = [
        {
            "of_caller": key.caller,
            "of_route": key.route,
            "of_key": key.text,
            "status": answer.status,
            "body": keys.seal(PURPOSE, answer.body) if key.sealed else answer.body,
        }
        for key, answer in answers
        if key.text is not None
    ]
    hooks = [(key.then, answer) for key, answer in answers if key.then is not None]
    if not rows and not hooks:
        return
    with atomic() as transaction:
        for then, answer in hooks:
            then(answer)
        if rows:
            transaction.execute(_KEEP, rows)


_KEEP = (
    sa.update(_table)
    .where(
        _table.c.caller == sa.bindparam("of_caller"),
        _table.c.route == sa.bindparam("of_route"),
        _table.c.key == sa.bindparam("of_key"),
    )
    .values(state=DONE)
)


def give_up(caller: str, route: str, text: str, *, lease: str, now: datetime) -> bool:
    """Forbid attempts that never came back; False where one did, or a twin of it, and is done.

    `lease` names the attempts whose lease it was, as the gate tells it; a key that was given up
    before remembers those too, for any of them may still be on its way.

    The tombstone waits for a transaction that is still running with this key, so that afterwards
    either the effect stands or that attempt can never have one.
    """
    row = {"caller": caller, "route": route, "key": text, "fingerprint": "", "state": ABORTED}
    statement = insert(IdempotencyKey).values(**row, body=lease.encode(), created_at=now)
    statement = statement.on_conflict_do_update(
        index_elements=["caller", "route", "key"],
        set_={"body": _joined(IdempotencyKey.body, statement.excluded.body)},
        where=IdempotencyKey.state == ABORTED,
    )
    with atomic() as transaction:
        written = transaction.execute(statement.returning(IdempotencyKey.key)).scalar()
    return written is not None


def prune(*, now: datetime) -> int:
    """Empty answers older than a week; the keys stay, so that nothing ever happens twice."""
    old = (
        sa.select(IdempotencyKey.caller, IdempotencyKey.route, IdempotencyKey.key)
        .where(
            IdempotencyKey.created_at < now - KEPT,
            IdempotencyKey.state == DONE,
            IdempotencyKey.body.is_not(None),
        )
        .limit(PRUNED_AT_ONCE)
    )
    columns = sa.tuple_(IdempotencyKey.caller, IdempotencyKey.route, IdempotencyKey.key)
    with atomic() as transaction:
        pruned = transaction.execute(
            sa.update(IdempotencyKey).where(columns.in_(old)).values(body=None)
        )
    return pruned.rowcount
