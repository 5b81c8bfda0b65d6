"""A database that goes away after the answer was made takes nothing back."""

import pytest

from models import db


@pytest.fixture
def breaks(monkeypatch, app):
    """The connection is gone by the time a request ends what it has read."""
    dialect = db.engine.dialect

    def gone(_connection):
        raise dialect.loaded_dbapi.OperationalError("server closed the connection unexpectedly")

    def let() -> None:
        monkeypatch.setattr(dialect, "do_rollback", gone)

    yield let
    monkeypatch.undo()


def test_an_answer_that_is_made_is_given_though_its_connection_broke(as_shopper, breaks):
    shopper = as_shopper("ming")
    db.session.rollback()
    breaks()

    answer = shopper.get("/me/card")

    assert answer.status_code == 200
    assert answer.json["points"]["available"] == 0
