"""Metrics: rare events add up over processes, and Prometheus can read them."""

import pytest

from mall import metrics
from mall.atomic import atomic


def test_what_was_counted_adds_up_and_what_never_happened_is_nought(app):
    metrics.count("gate_drift")
    metrics.count("gate_drift", by=2)
    metrics.count("gate_rebuilds", by=0)

    assert metrics.tallies() == {**dict.fromkeys(metrics.TALLIES, 0), "gate_drift": 3}


def test_what_is_undone_was_not_counted(app):
    with pytest.raises(RuntimeError), atomic():
        metrics.count("gate_drift")
        raise RuntimeError

    assert metrics.tallies()["gate_drift"] == 0


@pytest.mark.parametrize("name", sorted(metrics.TALLIES))
def test_every_tally_is_shown_to_prometheus(app, name):
    metrics.count(name, by=7)

    with app.test_client() as client:
        answer = client.get("/metrics")

    assert answer.status_code == 200 and answer.content_type.startswith("text/plain")
    assert f"mall_{name}_total 7.0" in answer.text.splitlines()


def test_gauges_are_read_when_asked(app):
    with app.test_client() as client:
        lines = client.get("/metrics").text.splitlines()

    assert "mall_events_waiting 0.0" in lines and "mall_redis_reachable 1.0" in lines
