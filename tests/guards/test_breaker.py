"""The breaker: a Redis that gives no answer is left alone, and asked again by one call at a time."""

import threading
import time

import pytest
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

import mall.breaker
from mall.guards import breaker, pace, stock, streaks
from mall.guards.breaker import Breaker, NotAsked
from mall.guards.client import RedisError, client


@pytest.fixture
def clock_s(monkeypatch):
    """A clock that the test moves."""
    moment = [100.0]
    monkeypatch.setattr(mall.breaker.time, "monotonic", lambda: moment[0])
    return moment


def fail(one, error=ConnectionError):
    with pytest.raises(error), one:
        raise error("no answer")


def broken():
    one = Breaker()
    for _ in range(breaker.FAILURES):
        fail(one)
    return one


def refuses(one):
    with pytest.raises(NotAsked), one:
        pytest.fail("let through")


@pytest.mark.parametrize("error", [TimeoutError, ConnectionError])
def test_after_so_many_failures_in_a_row_nobody_is_let_through(clock_s, error):
    one = Breaker()
    for _ in range(breaker.FAILURES):
        assert not one.is_open
        fail(one, error)
        clock_s[0] += breaker.PAUSE_S

    assert one.is_open
    refuses(one)


def test_after_one_time_out_nobody_is_let_through_for_a_moment(clock_s):
    """Who queued behind the call that was waited for in vain has waited as long already."""
    one = Breaker()
    fail(one, TimeoutError)
    refuses(one)
    assert not one.is_open

    clock_s[0] += breaker.PAUSE_S
    with one:
        pass


def test_an_answer_in_between_or_a_refusal_begins_the_count_anew():
    one = Breaker()
    for error in (None, ResponseError):
        for _ in range(breaker.FAILURES - 1):
            fail(one)
        if error is None:
            with one:
                pass
        else:
            fail(one, error)

    fail(one)
    assert not one.is_open


def test_a_fault_of_ours_says_nothing_about_redis():
    one = Breaker()
    for _ in range(breaker.FAILURES - 1):
        fail(one)
    fail(one, ZeroDivisionError)

    fail(one)
    assert one.is_open


def test_after_a_while_one_call_is_let_through_to_see(clock_s):
    one = broken()
    clock_s[0] += breaker.OPEN_S - 0.01
    refuses(one)
    clock_s[0] += 0.02

    with one:
        refuses(one)

    assert not one.is_open
    with one:
        pass


def test_a_probe_that_fails_shuts_it_for_another_while(clock_s):
    one = broken()
    clock_s[0] += breaker.OPEN_S + 0.01
    fail(one)

    refuses(one)
    clock_s[0] += breaker.OPEN_S + 0.01
    with one:
        pass
    assert not one.is_open


def test_a_probe_that_breaks_for_a_fault_of_ours_leaves_room_for_the_next(clock_s):
    one = broken()
    clock_s[0] += breaker.OPEN_S + 0.01
    fail(one, ZeroDivisionError)

    with one:
        pass
    assert not one.is_open


def test_of_many_threads_one_probes(clock_s):
    one, passed, refused = broken(), [], []
    clock_s[0] += breaker.OPEN_S + 0.01
    start, leave = threading.Barrier(8), threading.Event()

    def call():
        start.wait(10)
        try:
            with one:
                passed.append(1)
                leave.wait(10)
        except NotAsked:
            refused.append(1)
            if len(refused) == 7:
                leave.set()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert (len(passed), len(refused)) == (1, 7)


def pipelined():
    with client().pipeline() as pipe:
        pipe.ping()
        pipe.execute()


GUARDS = {
    "command": lambda: client().ping(),
    "pipeline": pipelined,
    "stock": lambda: stock.look(1),
    "streaks": lambda: streaks.load(1, 2027, []),
    "lock": lambda: client().lock("x", timeout=1).acquire(blocking=False),
}


@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_stands_behind_it(app, dead_redis, name):
    dead_redis.die()
    for _ in range(breaker.FAILURES):
        with pytest.raises(ConnectionError):
            GUARDS[name]()

    with pytest.raises(NotAsked):
        GUARDS[name]()


@pytest.mark.parametrize("name", GUARDS)
def test_a_hung_redis_is_waited_for_once_and_no_more_for_a_moment(app, dead_redis, name):
    with dead_redis.hang():
        with pytest.raises(TimeoutError):
            GUARDS[name]()
        started = time.monotonic()
        for _ in range(20):
            with pytest.raises(RedisError):
                GUARDS[name]()

        assert time.monotonic() - started < 0.1


def test_within_a_request_one_time_out_is_paid_for_and_no_second(app, dead_redis):
    app.config["RATE_LIMITS"] = True
    with dead_redis.hang(), app.test_request_context():
        started = time.monotonic()
        pace.check("member:1", pace.MEMBER)
        for _ in range(3):
            with pytest.raises(NotAsked):
                client().ping()

        assert time.monotonic() - started < 0.29
    with app.test_request_context():
        assert client().ping()


def test_a_refused_connection_costs_nothing_so_the_request_may_ask_again(app, dead_redis):
    app.config["RATE_LIMITS"] = True
    dead_redis.die()
    with app.test_request_context():
        pace.check("member:1", pace.MEMBER)
        dead_redis.live()

        assert client().ping()
