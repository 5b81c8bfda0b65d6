"""The transaction. Every verb that changes a row opens it; only the outermost commits.

Guards act through its callbacks: `after_commit` once the change is known to stand,
`after_refusal` once it is known not to. Where COMMIT's own answer is lost nobody knows, so neither
is called: whoever asked repeats with the same key, and the reaper settles the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError

from mall.errors import OutcomeUnknown, Unavailable
from models.base import db
from models.turns import turn_of

TURN_S = 8.0  # SQLite's only: PostgreSQL's writers wait for rows
LOCK_NOT_AVAILABLE, QUERY_CANCELED, IDLE_TOO_LONG = "55P03", "57014", "25P03"
CONTENDED = {"40P01", "40001"}  # deadlock, serialization: the same once more may go through
WAITED_TOO_LONG = {LOCK_NOT_AVAILABLE, QUERY_CANCELED}
# and shutting down, crashed, cannot connect now, transaction timeout
PASSING_SQLSTATES = WAITED_TOO_LONG | {
    *CONTENDED,
    *("57P01", "57P02", "57P03", "25P04"),
    IDLE_TOO_LONG,
}
# what the server says at COMMIT where it has undone the transaction: nothing is unknown then
UNDONE_AT_COMMIT = {"40P01", "40001", "40000", "40002", IDLE_TOO_LONG, "25P04"}


class Contended(Unavailable):
    """The database broke up a ring of those who waited for each other; nothing has happened."""


class Transaction:
    """What runs inside one transaction, and what runs when its end is known."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.is_undone = False  # for certain
        self.is_rehearsal = False
        self._after_commit: list[Callable[[], None]] = []
        self._after_refusal: list[Callable[[], None]] = []

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        """Run a Core statement; a list of parameters runs it for each."""
        return self.connection.execute(statement, parameters)

    def hurry(self, *, statement_ms: int, lock_ms: int, idle_ms: int) -> None:
        """Give up this transaction rather than wait; PostgreSQL only, and until its end only."""
        if self.connection.dialect.name != "postgresql":
            return
        limits = {
            "statement_timeout": statement_ms,
            "lock_timeout": lock_ms,
            "idle_in_transaction_session_timeout": idle_ms,
        }
        columns = [sa.func.set_config(name, f"{ms}ms", True) for name, ms in limits.items()]
        self.execute(sa.select(*columns))

    def after_commit(self, act: Callable[[], None]) -> "Transaction":
        self._after_commit.append(act)
        return self

    def after_refusal(self, act: Callable[[], None]) -> "Transaction":
        self._after_refusal.append(act)
        return self

    def stands(self) -> None:
        for act in self._after_commit:
            act()

    def refused(self) -> None:
        for act in self._after_refusal:
            act()


_current: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


def read(statement: sa.Executable, parameters: Any = None) -> Sequence[sa.Row[Any]]:
    """Rows as they are at this moment; inside atomic(), as that transaction sees them.

    In no transaction it is one call to the database where a session's would be three.
    """
    inside = _current.get()
    if inside is not None:
        return inside.execute(statement, parameters).all()
    with _autocommitting(db.engine).connect() as connection:
        return connection.execute(statement, parameters).all()


@lru_cache(maxsize=8)
def _autocommitting(engine: sa.Engine) -> sa.Engine:
    """SQLite's BEGIN costs no call, and its driver's own commits must stay off."""
    if engine.dialect.name != "postgresql":
        return engine
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def atomic() -> Iterator[Transaction]:
    """All or nothing. Inside another atomic() it joins that one."""
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    transaction = None
    try:
        with turn_of(db.engine, within_s=TURN_S) as is_ours:
            if not is_ours:
                raise Unavailable()
            transaction = _begin()
            with _inside(transaction):
                yield transaction
                db.session.flush()
            _commit(transaction)
    except BaseException:
        if transaction is not None and transaction.is_undone:
            transaction.refused()
        raise
    transaction.stands()


@contextmanager
def rehearsal() -> Iterator[Transaction]:
    """A transaction that is undone at its end: what happens in it is seen by nobody and never stands."""
    assert _current.get() is None, "what is rehearsed would undo what is not"
    with turn_of(db.engine, within_s=TURN_S) as is_ours:
        if not is_ours:
            raise Unavailable()
        transaction = _begin()
        transaction.is_rehearsal = True
        with _inside(transaction):
            yield transaction
        _undo()


def is_rehearsal() -> bool:
    """Whether what happens now will be undone: then nobody outside may be told of it."""
    inside = _current.get()
    return inside is not None and inside.is_rehearsal


def end_reading() -> None:
    """Let go of what was read; inside a transaction that is its own business."""
    if _current.get() is None:
        db.session.rollback()


@contextmanager
def _inside(transaction: Transaction) -> Iterator[None]:
    """A block whose atomic() joins this transaction, and whose failure undoes it."""
    token = _current.set(transaction)
    try:
        yield
    except BaseException as error:
        _undo()
        transaction.is_undone = True
        raise _in_our_words(error) from error
    finally:
        _current.reset(token)


def _begin() -> Transaction:
    assert not db.session.new and not db.session.dirty, "a change made outside atomic()"
    _undo()  # ends what a view has read; those rows are read again under the lock
    try:
        return Transaction(db.session.connection(execution_options={"writes": True}))
    except DBAPIError as error:
        _undo()
        raise _in_our_words(error) from error


def _commit(transaction: Transaction) -> None:
    try:
        db.session.commit()
    except IntegrityError:
        _undo()
        transaction.is_undone = True
        raise
    except DBAPIError as error:
        _undo()
        if sqlstate_of(error) not in UNDONE_AT_COMMIT:
            raise OutcomeUnknown() from error
        transaction.is_undone = True
        raise (Contended() if sqlstate_of(error) in CONTENDED else Unavailable()) from error


def _undo() -> None:
    """Roll back; where the connection is gone as well, the server does so by itself."""
    try:
        db.session.rollback()
    except DBAPIError:
        db.session().invalidate()


def sqlstate_of(error: BaseException) -> str | None:
    """The database's own word for a failure; SQLite has none."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _in_our_words(error: BaseException) -> BaseException:
    """A lock that took too long or a database that went away is `Unavailable`, not a bug."""
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError):
        return error
    if sqlstate_of(error) in CONTENDED:
        return Contended()
    passing = sqlstate_of(error) in PASSING_SQLSTATES or error.connection_invalidated
    locked = "database is locked" in str(error.orig)
    return Unavailable() if passing or locked else error
