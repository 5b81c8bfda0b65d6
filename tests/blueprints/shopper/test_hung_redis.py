"""A Redis that hangs, as a shopper sees it: what needs it is refused in a moment, all else is served."""

import time

import pytest

from tests.mall.conftest import dead_redis

__all__ = ["dead_redis"]
PATIENCE_S = 0.3


@pytest.fixture
def timed(app):
    """What a call answers, and how long that took."""
    app.config["RATE_LIMITS"] = True  # the first to ask Redis in every request

    def call(work):
        started = time.monotonic()
        answer = work()
        return answer, time.monotonic() - started

    return call


@pytest.mark.covers("E3")
def test_a_hot_reward_is_refused_in_a_moment_from_the_first_call_on(
    as_shopper, a_reward, dead_redis, timed
):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, hot=True, units=9).id
    body = {"reward_id": reward, "quantity": 1}
    shopper.post("/me/redemptions", body)
    asked = []
    with dead_redis.hang():
        for _ in range(8):
            asked.append(timed(lambda: shopper.post("/me/redemptions", body)))

    assert {answer.status_code for answer, _ in asked} == {503}
    assert {answer.json["code"] for answer, _ in asked} == {"reward_busy"}
    assert {answer.headers["Retry-After"] for answer, _ in asked} == {"2"}
    first, later = asked[0][1], [lasted for _, lasted in asked[-3:]]
    assert first < PATIENCE_S, "one time-out is paid for, not one a call"
    assert min(later) < 0.1, "and after a few none"


def test_everything_else_is_served_from_sql(as_shopper, a_reward, dead_redis, timed):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, units=99).id
    body = {"reward_id": reward, "quantity": 1}
    trade = shopper.post("/me/redemptions", body).json["id"]
    works = [
        lambda: shopper.post("/me/redemptions", body),
        lambda: shopper.post(f"/me/redemptions/{trade}/cancellation", {}),
        lambda: shopper.post("/me/checkins", {}, key=None),
        lambda: shopper.get("/rewards"),
        lambda: shopper.get("/me"),
    ]
    with dead_redis.hang():
        answers, lasted = zip(*(timed(work) for work in works), strict=True)

    assert [answer.status_code for answer in answers] == [201, 200, 201, 200, 200]
    assert min(lasted) < PATIENCE_S
