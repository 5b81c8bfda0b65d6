"""The database: one `db`, the typed base of every model, and the column types they share."""

import select
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, mapped_column, registry
from sqlalchemy.pool import ConnectionPoolEntry

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL may lose the last commits with the power
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",  # else REPLACE slips past those that keep the ledger
    "PRAGMA busy_timeout=8000",
)

Statement = TypeVar("Statement", bound=sa.Executable)

BigId = sa.BigInteger().with_variant(
    sa.Integer, "sqlite"
)  # SQLite numbers rows itself only in INTEGER
Json = sa.JSON().with_variant(postgresql.JSONB, "postgresql")


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """A moment. Aware in Python, always; kept in UTC."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "a moment without a zone"
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


Id = Annotated[int, mapped_column(BigId, primary_key=True)]
Points = Annotated[int, mapped_column(sa.BigInteger)]


class Base(DeclarativeBase):
    registry = registry(
        metadata=sa.MetaData(naming_convention=NAMING),
        type_annotation_map={
            datetime: UTCDateTime,
            date: sa.Date,
            dict[str, Any]: Json,
            list[Any]: Json,
            int: sa.Integer,
        },
    )


db = SQLAlchemy(model_class=Base)

if TYPE_CHECKING:
    Model = Base  # db.Model is made at run time, where mypy can't follow
else:
    Model = db.Model


def table_of(model: type[Base]) -> sa.Table:
    """A model's table, for statements over many rows."""
    table = model.__table__
    assert isinstance(table, sa.Table)
    return table


def insert(model: type[Base]) -> "postgresql.Insert | sqlite.Insert":
    """An INSERT that knows ON CONFLICT, in the words of the database in use."""
    table = table_of(model)
    if db.engine.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def per_dialect(build: Callable[[], Statement]) -> Callable[[], Statement]:
    """A statement that is built once in the words of each database, then compiled once too."""
    built: dict[str, Statement] = {}

    @wraps(build)
    def statement() -> Statement:
        name = db.engine.dialect.name
        if name not in built:
            built[name] = build()
        return built[name]

    return statement


def let_go(_error: BaseException | None) -> None:
    """End what a request has read; a connection that broke meanwhile is thrown away.

    It runs before the session's own end, which would raise instead: the answer is made by then,
    and a redemption that stands must not be told as a failure.
    """
    if not db.session.registry.has():
        return  # nothing was read through it
    try:
        db.session.rollback()
    except DBAPIError:
        db.session().invalidate()


@sa.event.listens_for(sa.Pool, "checkout")
def _let_no_dead_one_out(connection: Any, _entry: ConnectionPoolEntry, _proxy: Any) -> None:
    """Nobody has asked an idle connection anything: if it has something to say, it was closed.

    A ping would find the same, and cost every request a round trip.
    """
    server = getattr(connection, "pgconn", None)
    if server is None:
        return
    listener = select.poll()
    listener.register(server.socket, select.POLLIN)
    if listener.poll(0):
        raise InvalidatePoolError("the server has closed this connection")


@sa.event.listens_for(sa.Engine, "connect")
def _set_up_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    """Leave BEGIN to us: the driver's own comes late and can't say IMMEDIATE."""
    if type(connection).__module__.startswith("sqlite3"):
        connection.isolation_level = None
        for pragma in SQLITE_PRAGMAS:
            connection.execute(pragma)


@sa.event.listens_for(sa.Engine, "begin")
def _begin_sqlite(connection: sa.Connection) -> None:
    """Take SQLite's one write lock at BEGIN where a write follows; a reader waits for nobody."""
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
