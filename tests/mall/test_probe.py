"""A database that can't be used is told before anything starts, in one sentence without a secret."""

import socket
import sqlite3
from contextlib import closing

import pytest

from mall.serve import database
from mall.serve.place import CannotStart
from mall.settings import WrongSetting


@pytest.fixture
def refusal():
    """What a database that can't be used is told."""

    def ask(address: str, kind: type[Exception]) -> str:
        with pytest.raises(kind) as refused:
            database.probe(address)
        sentence = str(refused.value)
        assert sentence.startswith("DATABASE_URL ") and sentence.endswith(".")
        assert len(sentence.splitlines()) == 1 and "unsaid" not in sentence
        return sentence

    return ask


def test_a_database_that_answers_is_left_as_it_is(migrated, database_url, tmp_path):
    new = tmp_path / "new.db"

    database.probe(database_url)
    database.probe(f"sqlite:///{new}")

    with closing(sqlite3.connect(new)) as made:
        assert made.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


@pytest.mark.parametrize("place", ["", "/nowhere/mall.db"])
def test_a_file_that_can_not_be_opened_is_told(refusal, tmp_path, place):
    assert "unable to open" in refusal(f"sqlite:///{tmp_path}{place}", CannotStart)


def test_a_file_that_is_no_database_is_told(refusal, tmp_path):
    (tmp_path / "notes").write_text("no database " * 100)

    assert "not a database" in refusal(f"sqlite:///{tmp_path}/notes", WrongSetting)


def test_a_file_that_may_not_be_written_is_told(refusal, tmp_path):
    with closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        old.execute("CREATE TABLE t (id INTEGER)")

    told = refusal(f"sqlite:///file:{tmp_path}/old.db?mode=ro&uri=true", CannotStart)

    assert "readonly" in told


def test_a_server_that_is_away_is_told_without_its_password(refusal):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        address = f"postgresql+psycopg://shop:unsaid@127.0.0.1:{port}/shop"

        assert "refused" in refusal(f"{address}?password=unsaid", CannotStart)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://shop:unsaid@127.0.0.1/x?foo=bar",
    ],
)
def test_an_option_that_nobody_knows_is_told(refusal, address):
    assert "foo" in refusal(address, WrongSetting)
