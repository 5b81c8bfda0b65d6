"""How fast somebody may ask."""

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mall.errors import TooMany
from mall.guards import pace
from mall.guards.client import client
from mall.guards.pace import Pace

SLOW = Pace(burst=3, per_s=1)


@pytest.fixture(autouse=True)
def limits_on(app):
    app.config["RATE_LIMITS"] = True


def test_a_burst_passes_and_the_next_waits():
    for _ in range(3):
        pace.check("member:1", SLOW)

    with pytest.raises(TooMany) as refusal:
        pace.check("member:1", SLOW)

    assert refusal.value.retry_after_s == 1


def test_one_callers_haste_is_not_anothers():
    for _ in range(3):
        pace.check("member:1", SLOW)

    pace.check("member:2", SLOW)

    assert client().exists("pace:member:1", "pace:member:2") == 2


def test_room_comes_back_with_time():
    for _ in range(3):
        pace.check("member:1", SLOW)
    due_ms = int(client().get("pace:member:1"))
    client().set("pace:member:1", due_ms - 1000)  # a second goes by

    pace.check("member:1", SLOW)

    with pytest.raises(TooMany):
        pace.check("member:1", SLOW)


def test_without_redis_everybody_passes(app, monkeypatch):
    nobody = Redis(unix_socket_path="/nowhere", retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)

    assert [pace.check("member:1", SLOW) for _ in range(5)] == [None] * 5


def test_rate_limits_off_lifts_them(app):
    app.config["RATE_LIMITS"] = False

    assert [pace.check("member:1", SLOW) for _ in range(5)] == [None] * 5


def test_a_caller_who_is_too_fast_is_told_when_to_come_back(app, as_shopper, monkeypatch):
    monkeypatch.setattr(pace, "MEMBER", SLOW)
    shopper = as_shopper("hasty")

    answers = [shopper.get("/me") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json["code"] == "too_many_requests"
    assert answers[-1].headers["Retry-After"] == "1"
