"""Clocks that are not the database's are told of, and decide nothing."""

import logging
import math

import pytest

from mall import clock, jobs
from mall.guards import client, skew


@pytest.fixture
def warnings(app, monkeypatch, caplog):
    monkeypatch.setattr(clock, "_offsets", {})
    monkeypatch.setattr(clock, "_warned_at", {})
    caplog.set_level(logging.WARNING, "mall.clock")
    return lambda: caplog.messages


@pytest.fixture
def redis_is_ahead(monkeypatch):
    def by(seconds):
        real = skew.client().time

        def moved():
            whole, part = real()
            return whole + seconds, part

        monkeypatch.setattr(skew.client(), "time", moved)

    return by


def test_clocks_that_agree_are_nothing_to_warn_of(warnings):
    assert abs(skew.redis_skew_ms()) < clock.SKEW_WARNED_MS and abs(clock.skew_ms()) < 100
    assert jobs.watch_clocks() == 0 and warnings() == []


@pytest.mark.parametrize("ahead_s", [86_400, 1, -1, -86_400])
def test_redis_ahead_or_behind_is_measured_and_told_once_a_minute(
    warnings, redis_is_ahead, monkeypatch, ahead_s
):
    redis_is_ahead(ahead_s)

    assert [jobs.watch_clocks() for _ in range(3)] == [1, 1, 1]
    assert abs(skew.redis_skew_ms() - ahead_s * 1000) < clock.SKEW_WARNED_MS
    assert len(warnings()) == 1 and "Redis" in warnings()[0]
    monkeypatch.setattr(clock, "WARNED_EVERY_S", 0.0)
    jobs.watch_clocks()
    assert len(warnings()) == 2


@pytest.mark.parametrize("ahead_s", [3600.0, -3600.0])
def test_a_machine_ahead_of_the_database_is_told_of_when_it_is_measured(
    warnings, monkeypatch, ahead_s
):
    real = clock._database_time_s
    monkeypatch.setattr(clock, "_database_time_s", lambda: real() - ahead_s)

    assert abs(clock.skew_ms() - ahead_s * 1000) < clock.SKEW_WARNED_MS
    assert len(warnings()) == 1 and "this machine" in warnings()[0]
    clock.warn_of_skew("this machine", ahead_s * 1000)
    assert len(warnings()) == 1


def test_half_a_second_is_near_enough(warnings):
    assert [clock.warn_of_skew("x", each) for each in (500.0, -500.0, math.nan)] == [False] * 3
    assert [clock.warn_of_skew("x", each) for each in (500.1, -500.1)] == [True] * 2


def test_clock_offset_s_is_no_skew(app, warnings):
    app.config["CLOCK_OFFSET_S"] = 86_400

    assert jobs.watch_clocks() == 0


def test_a_redis_that_is_away_has_no_clock(app, monkeypatch):
    def away():
        raise client.RedisError

    monkeypatch.setattr(skew.client(), "time", away)

    assert math.isnan(skew.redis_skew_ms()) and jobs.watch_clocks() == 0


def test_both_are_shown_to_prometheus(app):
    with app.test_client() as browser:
        lines = browser.get("/metrics").text.splitlines()

    pairs = [line.split() for line in lines if "clock_skew" in line and line[0] != "#"]
    shown = {name: float(value) for name, value in pairs}
    assert set(shown) == {"mall_clock_skew_ms", "mall_redis_clock_skew_ms"}
    assert all(abs(each) < clock.SKEW_WARNED_MS for each in shown.values())
