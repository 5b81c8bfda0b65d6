"""Those who wait for each other in a ring: the database breaks it up, and nobody is told of it."""

import threading

import pytest
import sqlalchemy as sa

from mall import checkins, metrics
from mall.atomic import Contended
from models import db
from tests.servers import wait_until

KEY = "k" * 16
PATIENCE_S = 20


def waiting() -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with db.engine.connect() as connection:
        return connection.execute(sa.text(query)).scalar_one()


def test_a_request_that_a_deadlock_has_undone_is_made_again(as_shopper):
    """A stranger holds the account and wants the key; the request holds the key and wants the account."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite, with one writer, knows no deadlock")
    shopper, answers = as_shopper("ming"), []
    db.session.rollback()
    with db.engine.connect() as stranger:
        account = {"id": shopper.id}
        stranger.execute(
            sa.text("SELECT 1 FROM accounts WHERE member_id = :id FOR UPDATE"), account
        )
        ask = threading.Thread(target=lambda: answers.append(shopper.post("/me/checkins", key=KEY)))
        ask.start()
        wait_until(lambda: waiting() == 1)
        stranger.execute(
            sa.text(
                "INSERT INTO idempotency_keys (caller, route, key, fingerprint, state, created_at)"
                " VALUES (:caller, 'POST /api/v1/me/checkins', :key, '', 'running', now())"
            ),
            {"caller": f"member:{shopper.id}", "key": KEY},
        )
        stranger.rollback()
    ask.join(PATIENCE_S)

    assert [answer.status_code for answer in answers] == [201]
    assert metrics.tallies()["contentions"] == 1


def test_who_meets_contention_again_and_again_is_told_to_come_back(as_shopper, monkeypatch):
    tries = []

    def contended(*_args, **_how):
        tries.append(1)
        raise Contended()

    monkeypatch.setattr(checkins, "check_in", contended)
    answer = as_shopper("ming").post("/me/checkins")

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert len(tries) == 4 and metrics.tallies()["contentions"] == 3
