"""Short forms of the experiments: each crash once or twice, and the same judge as in `make chaos`.

They share one shop on PostgreSQL, with rewards of their own; leases that a killed process leaves
end by themselves within forty seconds, so the gates are looked at once, after those who leave some.
"""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.chaos import history as judge
from tests.chaos.experiments import crowd, database, gate
from tests.chaos.ground import Ground, ground

pytestmark = [
    pytest.mark.xdist_group("serve"),
    pytest.mark.skipif(
        servers.postgresql_binaries() is None, reason="PostgreSQL's binaries are not here"
    ),
]

MEMBERS = 40
LENIENT_MS = 3000  # a busy machine; `make chaos` holds it to 300


@pytest.fixture(scope="module")
def shop() -> Iterator[Ground]:
    with ground(proxied=True, members=MEMBERS) as standing:
        yield standing


def test_a_connection_cut_at_commit_neither_doubles_nor_loses_a_redemption(shop):
    database.x8(shop, cuts=30, gates=False).assert_passed()


def test_killed_workers_lose_nothing_that_was_told_and_keep_nothing_that_was_not(shop):
    crowd.x2(shop, clients=24, for_s=6, kill_every_s=1.5, gates=False).assert_passed()


def test_a_database_that_crashes_leaves_nothing_open(shop):
    database.x7(shop, clients=16, times=1, back_s=4, clean_s=2, gates=False).assert_passed()


@pytest.mark.covers("E2")
def test_a_wish_sent_three_hundred_times_at_once_comes_true_once(shop):
    crowd.x9(shop, times=300, clients=40).assert_passed()


def test_within_forty_seconds_of_quiet_every_gate_says_what_sql_says(shop):
    assert judge.gates_agree(shop, shop.rewards).faults == []


def test_an_emptied_redis_lets_nobody_in_before_its_gate_is_rebuilt(shop):
    gate.x4(shop, clients=16, times=2, every_s=1.5, units=20, gates=False).assert_passed()


def test_a_frozen_redis_and_then_an_empty_one_cost_no_unit_and_no_point(shop):
    trial = gate.x5(shop, clients=8, stop_s=2, settle_s=1, ceiling_ms=LENIENT_MS, stale=False)

    trial.assert_passed()
