"""Requests that wait together commit together; what befalls one of them befalls no other."""

import threading
from collections import Counter
from importlib import import_module

import pytest
import sqlalchemy as sa

from mall import gates
from mall.errors import NotEnoughPoints, OutcomeUnknown, Unavailable
from mall.idempotency import Answer
from mall.redemptions import redeem_together
from models import Account, Reward, db
from tests.mall.books import ask, balance, gate, trades, units_left, wrong
from tests.mall.together import PATIENCE_S, together
from tests.servers import wait_until

module = import_module("mall.redemptions.together")
path = import_module("mall.redemptions.redeem")


class Queue:
    """The queue of redemptions, whose first leader waits until the others have gathered."""

    def __init__(self, app, monkeypatch):
        self.app, self.batches = app, []
        self.full = threading.Event()
        self.commit_many = module.commit_many
        monkeypatch.setattr(module, "commit_many", self.lead)

    def lead(self, tickets, *, now):
        self.batches.append(list(tickets))
        if len(self.batches) == 1:
            assert self.full.wait(PATIENCE_S)
        return self.commit_many(tickets, now=now)

    def ask_all(self, requests, redeem=redeem_together):
        """What each of some requests came to, when all but the first came while that was led."""

        def watch():
            wait_until(lambda: len(module.together().till._queue) == len(requests) - 1)
            self.full.set()

        works = [lambda each=each: redeem(each) for each in requests]
        return together(self.app, [*works, watch])[:-1]


@pytest.fixture
def queue(app, monkeypatch):
    return Queue(app, monkeypatch)


@pytest.fixture
def reward(a_reward):
    made = a_reward(units=20, price_points=1).id
    gates.rebuild(made)
    return made


def kinds(outcomes):
    return Counter("granted" if isinstance(o, Answer) else type(o).__name__ for o in outcomes)


@pytest.mark.covers("E2")
def test_all_who_have_come_meanwhile_are_decided_in_one_transaction(
    a_member, reward, queue, monkeypatch
):
    requests = [ask(a_member(points=1), reward) for _ in range(12)]
    decided, decide = [], path._decide
    monkeypatch.setattr(
        path, "_decide", lambda batch, *rest: decided.append(len(batch)) or decide(batch, *rest)
    )

    assert kinds(queue.ask_all(requests)) == {"granted": 12}
    assert decided == [1, 11]
    assert units_left(reward) == 8 and gate(reward) == (8, 0) and wrong() == []


def test_a_member_goes_along_once_and_leads_the_next_time(a_member, reward, queue):
    members = [a_member(points=9) for _ in range(3)]
    requests = [ask(member, reward) for member in members for _ in range(2)]

    assert kinds(queue.ask_all(requests)) == {"granted": 6}
    assert all(len({each.request.member_id for each in b}) == len(b) for b in queue.batches)
    assert sum(len(batch) for batch in queue.batches) == 6
    assert [balance(member) for member in members] == [7, 7, 7]


def test_who_can_not_pay_is_refused_alone(a_member, reward, queue):
    poor = {3, 7}
    requests = [ask(a_member(points=int(n not in poor)), reward) for n in range(10)]

    outcomes = queue.ask_all(requests)

    assert {n for n, each in enumerate(outcomes) if isinstance(each, NotEnoughPoints)} == poor
    assert units_left(reward) == 12 and gate(reward) == (12, 0) and wrong() == []


def test_a_request_that_breaks_its_batch_fails_alone(a_member, reward, queue, monkeypatch):
    requests = [ask(a_member(points=1), reward) for _ in range(8)]
    record, poison = path._record, requests[5]

    def break_at(batch, *rest):
        if poison in [each.request for each in batch]:
            raise ZeroDivisionError
        return record(batch, *rest)

    monkeypatch.setattr(path, "_record", break_at)

    outcomes = queue.ask_all(requests)

    assert isinstance(outcomes[5], ZeroDivisionError)
    assert kinds(outcomes) == {"granted": 7, "ZeroDivisionError": 1}
    assert units_left(reward) == 13 and gate(reward) == (13, 0) and wrong() == []


@pytest.mark.covers("E3")
def test_p12_a_leader_that_dies_names_the_next_and_leaves_nobody_waiting(a_member, reward, queue):
    """Those it led are told that nobody knows; with the same key they get the final answer."""
    requests = [ask(a_member(points=1), reward) for _ in range(6)]
    ask_on, died = queue.commit_many, []

    def die(batch, *, now):
        if len(batch) > 1 and not died:
            died.append(batch)
            ask_on(batch, now=now)
            raise SystemExit
        return ask_on(batch, now=now)

    queue.commit_many = die

    def survive(request):
        try:
            return redeem_together(request)
        except SystemExit:
            return OutcomeUnknown()

    outcomes = queue.ask_all(requests, survive)

    assert kinds(outcomes) == {"granted": 1, "OutcomeUnknown": 5}
    again = [redeem_together(each) for each in requests]
    assert all(answer.replayed for answer in again) and trades() == 6
    assert units_left(reward) == 14 and gate(reward) == (14, 0) and wrong() == []


@pytest.mark.covers("E2")
def test_a_locked_account_delays_its_batch_a_moment_and_fails_alone(
    app, a_member, reward, queue, monkeypatch
):
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite locks the whole database")
    monkeypatch.setattr(path, "BATCH_LOCK_MS", 50)
    monkeypatch.setattr(path, "LOCK_MS", 50)
    requests = [ask(a_member(points=1), reward) for _ in range(6)]
    locked = sa.select(Account).where(Account.member_id == requests[4].member_id)

    with db.engine.connect() as other, other.begin():
        other.execute(locked.with_for_update())
        outcomes = queue.ask_all(requests)

    assert isinstance(outcomes[4], Unavailable)
    assert kinds(outcomes) == {"granted": 5, "Unavailable": 1}
    assert gate(reward) == (15, 0) and wrong() == []


def test_where_everybody_waits_for_one_lock_the_rest_is_not_tried(
    app, a_member, reward, queue, monkeypatch
):
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite locks the whole database")
    monkeypatch.setattr(path, "BATCH_LOCK_MS", 50)
    monkeypatch.setattr(path, "LOCK_MS", 50)
    requests = [ask(a_member(points=1), reward) for _ in range(9)]
    decided, decide = [], path._decide
    monkeypatch.setattr(
        path, "_decide", lambda batch, *rest: decided.append(len(batch)) or decide(batch, *rest)
    )

    with db.engine.connect() as other, other.begin():
        other.execute(sa.select(Reward).with_for_update())
        outcomes = queue.ask_all(requests)

    assert kinds(outcomes) == {"Unavailable": 9}
    assert decided == [1, 8, 1, 1], "two of the batch have found the door locked"
    assert gate(reward) == (20, 0) and wrong() == []
