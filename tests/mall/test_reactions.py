"""What follows from what: each reaction exactly once, and one that fails holds up nobody else."""

import logging
from collections import Counter
from datetime import timedelta

import pytest

from mall import clock, events, jobs, points, purchases, reactions, referrals
from mall.atomic import atomic
from mall.events import CheckedIn, Joined, Purchased, Redeemed, RedemptionCancelled
from mall.purchases import Receipt
from models import Event, EventReaction, Member, Referral, ShopSetting, db
from models.base import insert
from tests.mall.books import count, one, rows
from tests.mall.together import Halt, together

BUG = "a bug in a reaction"


@pytest.fixture
def now(app):
    return clock.now()


class Heard:
    """Reactions that leave a row, so that what is undone is undone for them too."""

    def __init__(self):
        self.calls, self.broken = Counter(), set()

    def first(self, fact, *, now):
        self._hear("first", fact)

    def second(self, fact, *, now):
        self._hear("second", fact)

    def _hear(self, name, fact):
        self.calls[name, fact.member_id] += 1
        with atomic() as transaction:
            row = {"name": f"{name}-{fact.member_id}", "value": 1}
            transaction.execute(insert(ShopSetting).values(**row))
        if (name, fact.member_id) in self.broken:
            raise RuntimeError(BUG)


@pytest.fixture
def heard(monkeypatch):
    heard = Heard()
    monkeypatch.setattr(reactions, "ON", {Joined: [heard.first, heard.second]})
    return heard


def record(*members, now):
    with atomic():
        events.record_many([Joined(member) for member in members], now=now)


def effects():
    return sorted(name for (name,) in rows(ShopSetting.name))


def waiting():
    return count(Event, Event.done_at.is_(None))


def test_each_reaction_to_a_fact_happens_once(heard, now):
    record(1, 2, now=now)

    assert reactions.drain(now=now) == 2
    assert reactions.drain(now=now) == 0

    assert effects() == ["first-1", "first-2", "second-1", "second-2"]
    assert count(EventReaction) == 4 and waiting() == 0


def test_facts_that_nobody_reacts_to_are_done_with(heard, now):
    with atomic():
        events.record(CheckedIn(1, "2027-03-01", 1), now=now)

    assert reactions.drain(now=now) == 1 and waiting() == 0
    assert count(EventReaction) == 0


def test_several_workers_make_each_reaction_happen_once(app, heard, now):
    record(*range(1, 9), now=now)

    outcomes = together(app, [lambda: reactions.drain(now=now)] * 6)

    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert len(effects()) == count(EventReaction) == 16 and waiting() == 0


def test_a_reaction_that_fails_holds_up_no_other_fact(heard, now, caplog):
    heard.broken = {("first", 2)}
    record(1, 2, 3, now=now)

    assert reactions.drain(now=now) == 2

    assert effects() == ["first-1", "first-3", "second-1", "second-3"]
    assert rows(Event.member_id, Event.attempts, where=[Event.done_at.is_(None)]) == [(2, 1)]
    assert any(
        BUG in str(each.exc_info) for each in caplog.records if each.levelno >= logging.ERROR
    )


def test_a_reaction_that_failed_is_told_again_later_and_what_had_happened_is_not(heard, now):
    heard.broken = {("second", 1)}
    record(1, now=now)
    reactions.drain(now=now)
    retry_at = one(Event.retry_at)
    assert effects() == ["first-1"]
    heard.broken = set()

    assert reactions.drain(now=retry_at - timedelta(microseconds=1)) == 0
    assert reactions.drain(now=retry_at) == 1

    assert effects() == ["first-1", "second-1"] and waiting() == 0
    assert heard.calls["second", 1] > 1


def test_each_failure_waits_twice_as_long_up_to_an_hour(heard, now):
    heard.broken = {("first", 1)}
    record(1, now=now)
    waits, at = [], now
    for _ in range(reactions.MAX_ATTEMPTS):
        reactions.drain(now=at)
        waits.append((one(Event.retry_at) - at).total_seconds())
        at = one(Event.retry_at)

    assert waits[:3] == [2, 4, 8] and max(waits) == waits[-1] == 3600


def test_a_fact_that_always_fails_is_left_to_people_in_the_end(heard, now):
    heard.broken = {("first", 1)}
    record(1, now=now)
    at = now
    for _ in range(reactions.MAX_ATTEMPTS):
        reactions.drain(now=at)
        at = one(Event.retry_at)
    calls = heard.calls["first", 1]

    assert reactions.drain(now=at + timedelta(days=1)) == 0

    assert heard.calls["first", 1] == calls and waiting() == 1


def test_a_worker_goes_on_until_nothing_waits(heard, now, monkeypatch):
    monkeypatch.setattr(reactions, "DRAINED_AT_ONCE", 3)
    record(*range(1, 9), now=now)

    assert jobs.drain_events() == 8 and waiting() == 0


def test_a_batch_full_of_failures_does_not_hide_those_behind_it(heard, now, monkeypatch):
    monkeypatch.setattr(reactions, "DRAINED_AT_ONCE", 2)
    heard.broken = {("first", 1), ("first", 2)}
    record(1, 2, 3, now=now)

    assert reactions.drain(now=now) == 0
    assert reactions.drain(now=now) == 1

    assert effects() == ["first-3", "second-3"]


def test_a_fact_of_a_kind_that_this_version_does_not_know_holds_up_nobody(heard, now):
    row = {"kind": "from the future", "member_id": 1, "payload": {"a": 1}, "attempts": 0}
    with atomic() as transaction:
        transaction.execute(insert(Event).values(**row, created_at=now))
    record(2, now=now)

    assert reactions.drain(now=now) == 1

    assert effects() == ["first-2", "second-2"]
    assert rows(Event.kind, where=[Event.done_at.is_(None)]) == [("from the future",)]


@pytest.mark.parametrize(
    "fact",
    [
        Joined(1),
        CheckedIn(1, "2027-03-01", 3),
        Purchased(1, 2, 3),
        Redeemed(1, 2, 3, 4),
        RedemptionCancelled(1, 2, 3, 4),
        events.VoucherUsed(1, 2, 3),
    ],
    ids=lambda fact: fact.kind,
)
def test_a_fact_is_read_as_it_was_written(app, now, fact):
    with atomic():
        events.record(fact, now=now)
    assert events.read(db.session.query(Event).one()) == fact


def test_every_kind_of_fact_has_a_name_of_its_own():
    kinds = events.Fact.__subclasses__()

    assert {each.kind for each in kinds} == set(events.KINDS) and len(kinds) == len(events.KINDS)


def test_every_reaction_in_the_table_has_a_name_of_its_own():
    for reactions_of in reactions.ON.values():
        names = [each.__name__ for each in reactions_of]
        assert len(names) == len(set(names)), "its name is what makes it happen once"


def test_nothing_recorded_writes_nothing(now):
    events.record_many([], now=now)

    assert count(Event) == 0


# who waits for whom


def test_the_accounts_of_a_batch_are_locked_in_order_before_any_reaction(
    a_member, stores, now, monkeypatch
):
    inviters, friends = [a_member(), a_member()], [a_member(), a_member()]
    for friend, inviter in zip(friends, reversed(inviters), strict=True):
        assert referrals.bind(friend, one(Member.invite_code, Member.id == inviter), now=now)
    for friend in reversed(friends):
        receipt = Receipt(stores["A"], f"r-{friend}", friend, 10_000, now)
        purchases.record_receipts([receipt], now=now)
    locked, opened = [], points.open_book

    def spied(members, **how):
        locked.append(set(members))
        return opened(members, **how)

    monkeypatch.setattr(points, "open_book", spied)
    reactions.drain(now=now)

    assert locked[0] == {*inviters, *friends}
    assert count(Referral, Referral.state == "qualified") == 2


def test_while_one_tells_another_leaves_it_alone(app, heard, now, monkeypatch):
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite lets one write at a time")
    record(1, now=now)
    halt = Halt("the first")
    monkeypatch.setattr(heard, "first", halt.before(heard.first))
    monkeypatch.setattr(reactions, "ON", {Joined: [_named(heard)]})

    with halt.holding(app, lambda: reactions.drain(now=now)) as finish:
        second = reactions.drain(now=now)
        first = finish()

    assert (first, second) == (1, 0) and effects() == ["first-1"]


def _named(heard):
    def first(fact, *, now):
        heard.first(fact, now=now)

    return first
