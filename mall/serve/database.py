"""Whether DATABASE_URL can be used, asked before anything starts."""

import sqlite3
from contextlib import closing

import psycopg
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mall.serve.place import CannotStart
from mall.settings import WrongSetting

CONNECT_S = 3


def probe(address: str) -> None:
    """Connect once, and take SQLite's write lock, which reads the file and minds its permissions.

    Raises CannotStart where the database is away, WrongSetting where no other day would help.
    """
    url = make_url(address)
    is_file = url.get_backend_name() == "sqlite"
    shown = f"sqlite:///{url.database}" if is_file else url.set(query={}).render_as_string()
    try:
        waits = {"timeout" if is_file else "connect_timeout": CONNECT_S}
        engine = create_engine(url, poolclass=NullPool, connect_args=waits)
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("BEGIN IMMEDIATE" if is_file else "SELECT 1")
    except (OperationalError, psycopg.OperationalError, sqlite3.OperationalError) as error:
        raise CannotStart(f"DATABASE_URL {shown} can't be used: {_reason(error)}.") from None
    except (SQLAlchemyError, psycopg.Error, sqlite3.Error, TypeError, ValueError) as error:
        raise WrongSetting(f"DATABASE_URL {shown} can't be used: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    """The driver's own words, in one line."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(said).split()).rstrip(".")
