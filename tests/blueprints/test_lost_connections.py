"""A database that goes away after the answer was made takes nothing back."""

import pytest
from sqlalchemy.exc import OperationalError

from mall import redemptions
from models import db
from tests.makers import grant


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


def test_a_redemption_that_stands_is_told_so_though_the_database_is_gone(
    as_shopper, a_reward, monkeypatch
):
    shopper, reward = as_shopper("one"), a_reward(price_points=1)
    grant(shopper.id, 5)
    body = {"reward_id": reward.id, "quantity": 1}
    redeem = redemptions.redeem

    def gone(*_args, **_how):
        raise OperationalError("SELECT", None, Exception("server closed the connection"))

    def redeem_and_lose(*asked, **how):
        answer = redeem(*asked, **how)
        monkeypatch.setattr(db.session, "execute", gone)
        return answer

    monkeypatch.setattr(redemptions, "redeem", redeem_and_lose)
    answer = shopper.post("/me/redemptions", body)

    assert answer.status_code == 201 and len(answer.json["voucher"]["code"]) == 21
