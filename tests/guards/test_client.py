"""The connection to Redis: short of patience, and every script says what it takes and why."""

import time
from pathlib import Path

import pytest

from mall.guards import client as guards
from mall.guards.breaker import Breaker
from mall.guards.client import RedisError, client, reachable, script

SCRIPTS = sorted(Path(guards.__file__).parent.glob("*.lua"))


def test_redis_is_reachable_or_not(app, dead_redis):
    assert reachable()

    dead_redis.die()

    assert not reachable()


def test_a_redis_that_hangs_is_given_up_in_a_moment(app, dead_redis):
    lasted = []
    with dead_redis.hang():
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(RedisError):
                client().ping()
            lasted.append(time.monotonic() - started)
            app.extensions["redis"].breaker = Breaker()

    assert guards.TIMEOUT_S * 0.9 < min(lasted) < 0.3, "one try, no more"


def test_a_script_that_redis_has_forgotten_is_sent_again(app):
    keys = {"keys": ["{m:1}:ci:2027"], "args": [1, 10]}
    assert script("streak_mark")(**keys) == 0

    client().script_flush()

    assert script("streak_mark")(**keys) == 0


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_what_it_takes_what_it_answers_and_why_it_is_one(path):
    text = path.read_text()
    header = text[: text.index("]]")]

    assert header.startswith("--[[ ")
    for word in ("KEYS[1]", "ARGV[1]", "Returns", "One script, because"):
        assert word in header, word
