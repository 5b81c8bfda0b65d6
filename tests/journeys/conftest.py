"""One running program a database, shared by the journeys; each uses people of its own."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tests.journeys.program import Program, running


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest, database_kind: str) -> Iterator[Program]:
    settings = {}
    if database_kind == "postgresql":
        server = request.getfixturevalue("postgresql")
        if server is None:
            pytest.skip("PostgreSQL's binaries are not on this machine")
        name = f"journey_{secrets.token_hex(4)}"
        with psycopg.connect(
            (server % "postgres").replace("+psycopg", ""), autocommit=True
        ) as link:
            link.execute(f"CREATE DATABASE {name}")
        settings["DATABASE_URL"] = server % name
    with running(**settings) as started:
        yield started


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def named() -> str:
    """The start of names that no other test uses."""
    return secrets.token_hex(4)
