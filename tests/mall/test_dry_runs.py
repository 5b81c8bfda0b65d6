"""A job run dry says how much it would do, and nothing of it stands."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, gates, jobs, points, redemptions
from mall.guards import stock
from mall.points import Promise
from models import Account, Reward, Voucher, db
from tests.makers import a_key
from tests.mall.books import a_cause, ask, by_hand, gate, give, one, rows

DUE = {  # what the shop below waits for: points that end, a promise, facts, a voucher
    "expire-points": 30,
    "activate-pending": 1,
    "expire-vouchers": 1,
    "expire-holds": 0,
    "nightly": 31,
}


@pytest.fixture
def waiting(app, a_member, a_reward):
    """A shop in which several jobs have something to do; answers its member and its reward."""
    now = clock.now()
    member, reward = a_member(points=100), a_reward(price_points=10).id
    redemptions.redeem(ask(member, reward), now=now)
    by_hand(sa.update(Voucher).values(expires_at=now + timedelta(hours=1)))
    give(member, 30, "old", expires_at=now + timedelta(hours=1), now=now)
    points.promise_many([Promise(member, 7, a_cause("later", "referral"), now)], now=now)
    app.config["CLOCK_OFFSET_S"] = 7_200
    return member, reward


def everything():
    """Every row there is."""
    db.session.rollback()
    tables = db.metadata.sorted_tables
    return {table.name: sorted(map(repr, db.session.execute(sa.select(table)))) for table in tables}


@pytest.mark.parametrize("name", sorted(jobs.JOBS))
def test_nothing_of_a_dry_run_stands_and_the_run_then_does_as_much(waiting, app, name):
    before, there = everything(), gate(waiting[1])
    runner = app.test_cli_runner()

    dry = runner.invoke(args=["jobs", "run", name, "--dry-run"])

    assert dry.exit_code == 0 and everything() == before and gate(waiting[1]) == there
    assert int(dry.output) == DUE.get(name, int(dry.output))
    if name not in jobs.ONLY_LOOKS:
        assert runner.invoke(args=["jobs", "run", name]).output == dry.output


def test_a_gate_hears_of_what_happened_and_not_of_what_is_rehearsed(waiting, app, monkeypatch):
    member, reward = waiting
    app.config["CLOCK_OFFSET_S"] = 0
    heard = []
    monkeypatch.setattr(redemptions, "tell_gate", lambda fact, **_: heard.append(fact))
    trade = rows(Voucher.redemption_id)[0][0]
    redemptions.cancel(member, trade, key=a_key(member), now=clock.now())

    rehearsed = jobs.rehearse("drain-events")

    assert rehearsed > 0 and heard == []
    assert jobs.drain_events() == rehearsed and len(heard) == 1


def test_the_keeper_run_dry_counts_the_gates_it_would_see_to(waiting):
    reward = waiting[1]
    gates.rebuild(reward)
    sound = jobs.rehearse("keep-gates")
    stock.close(reward, epoch=one(Reward.epoch, Reward.id == reward))

    assert (sound, jobs.rehearse("keep-gates")) == (0, 1)
    jobs.keep_gates()
    assert jobs.rehearse("keep-gates") == 0


def test_a_rehearsal_that_fails_leaves_nothing_either(waiting, monkeypatch):
    def fail():
        give(waiting[0], 5, "half", expires_at=None, now=clock.now())
        raise RuntimeError("in the middle")

    monkeypatch.setitem(jobs.JOBS, "prune", (fail, jobs.BY_HAND))
    before = everything()

    with pytest.raises(RuntimeError):
        jobs.rehearse("prune")

    assert everything() == before


def test_what_is_due_in_many_batches_is_counted_whole(app, a_member, monkeypatch):
    monkeypatch.setattr("mall.points.expiry.EXPIRED_AT_ONCE", 1)
    now = clock.now()
    for number in range(3):
        give(a_member(), 10, f"old {number}", expires_at=now, now=now)

    assert jobs.rehearse("expire-points") == 30
    assert one(sa.func.sum(Account.balance_points)) == 30
