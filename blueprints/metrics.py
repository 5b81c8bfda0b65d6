"""Metrics for Prometheus: tallies kept in SQL and gauges read at the moment of asking."""

from collections.abc import Callable, Iterator

import sqlalchemy as sa
from flask import Flask, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from mall import clock, ledger, metrics
from mall.guards.client import reachable
from mall.guards.skew import redis_skew_ms
from models import Alarm, Event, db

PREFIX = "mall_"


def _events_waiting() -> int:
    query = sa.select(sa.func.count()).select_from(Event).where(Event.done_at.is_(None))
    return db.session.scalar(query) or 0


def _alarms_open() -> int:
    query = ledger.open_alarms().with_only_columns(sa.func.count(Alarm.id))
    return db.session.scalar(query) or 0


GAUGES: dict[str, tuple[str, Callable[[], float]]] = {
    "events_waiting": ("Facts that nobody has reacted to yet.", _events_waiting),
    "ledger_alarms": ("Mismatches of the ledger that nobody has cleared.", _alarms_open),
    "redis_reachable": ("1 where Redis answers this process, else 0.", lambda: float(reachable())),
    "clock_skew_ms": ("How far this machine's clock is ahead of the database's.", clock.skew_ms),
    "redis_clock_skew_ms": ("How far Redis' clock is ahead of the database's.", redis_skew_ms),
}


class _Shop(Collector):
    """What is read anew for each answer."""

    def collect(self) -> Iterator[Metric]:
        for name, number in metrics.tallies().items():
            yield CounterMetricFamily(PREFIX + name, metrics.TALLIES[name], value=number)
        for name, (meaning, read) in GAUGES.items():
            yield GaugeMetricFamily(PREFIX + name, meaning, value=read())


def add_route(app: Flask) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shop())
    app.add_url_rule("/metrics", "metrics", lambda: _answer(registry))


def _answer(registry: CollectorRegistry) -> Response:
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
