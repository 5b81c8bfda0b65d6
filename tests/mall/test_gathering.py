"""A gathering: one does for all who have come meanwhile; what befalls the leader leaves nobody waiting."""

import threading
from collections import Counter

import pytest

from mall import gathering
from mall.errors import OutcomeUnknown, Unavailable
from mall.gathering import Gathering
from tests.mall.together import PATIENCE_S, together
from tests.servers import wait_until


class Crowd:
    """A gathering whose first leader waits until everybody else has come."""

    def __init__(self, app):
        self.app, self.batches, self.full = app, [], threading.Event()
        self.act = lambda items: [item * 10 for item in items]
        self.gathering = Gathering(self.lead, apart=lambda item: item % 100)

    def lead(self, items):
        self.batches.append(items)
        if len(self.batches) == 1:
            assert self.full.wait(PATIENCE_S)
        return self.act(items)

    def ask(self, item):
        try:
            return self.gathering.ask(item)
        except SystemExit:
            return "died"

    def ask_all(self, items, *, stay=None):
        """What each is told; the first goes on when all others, or `stay` of them, are waiting."""

        def watch():
            stay_ = len(items) - 1 if stay is None else stay
            wait_until(lambda: len(self.gathering._queue) == stay_ and bool(self.batches))
            self.full.set()

        return together(self.app, [*[lambda i=i: self.ask(i) for i in items], watch])[:-1]


@pytest.fixture
def crowd(app):
    return Crowd(app)


def kinds(results):
    return Counter(
        type(each).__name__ if isinstance(each, Exception) else str(each) for each in results
    )


def test_who_comes_while_nobody_is_at_it_leads_alone(crowd):
    crowd.full.set()

    assert [crowd.gathering.ask(n) for n in range(3)] == [0, 10, 20]
    assert crowd.batches == [[0], [1], [2]]


def test_those_who_come_meanwhile_go_together_and_each_is_told_its_own(crowd):
    assert crowd.ask_all(list(range(12))) == [n * 10 for n in range(12)]
    assert [len(batch) for batch in crowd.batches] == [1, 11]


def test_a_batch_has_a_bound(crowd, monkeypatch):
    monkeypatch.setattr(gathering, "LED_AT_ONCE", 4)

    assert crowd.ask_all(list(range(10))) == [n * 10 for n in range(10)]
    assert [len(batch) for batch in crowd.batches] == [1, 4, 4, 1]


def test_two_that_must_not_go_together_go_one_after_the_other(crowd):
    items = [1, 101, 201, 2, 102, 202]

    assert crowd.ask_all(items) == [item * 10 for item in items]
    assert all(len({item % 100 for item in batch}) == len(batch) for batch in crowd.batches)
    assert sorted(item for batch in crowd.batches for item in batch) == sorted(items)


def test_what_a_batch_fails_with_is_told_to_all_of_it_and_the_next_goes_on(crowd):
    def fail(items):
        if len(items) > 1:
            raise ZeroDivisionError
        return [0]

    crowd.act = fail

    assert kinds(crowd.ask_all(list(range(6)))) == {"0": 1, "ZeroDivisionError": 5}
    assert crowd.gathering.ask(7) == 0


@pytest.mark.covers("E3")
def test_p12_a_leader_that_dies_leaves_nobody_waiting_and_names_the_next(crowd, monkeypatch):
    monkeypatch.setattr(gathering, "LED_AT_ONCE", 3)

    def die(items):
        if len(items) == 3:
            raise SystemExit
        return [0] * len(items)

    crowd.act = die

    told = kinds(crowd.ask_all(list(range(6))))

    assert told == {"0": 3, "died": 1, "OutcomeUnknown": 2}


def test_who_has_waited_too_long_leaves_the_queue_and_nothing_is_done(crowd, monkeypatch):
    monkeypatch.setattr(gathering, "PATIENCE_S", 0.05)
    crowd.full.wait = lambda _: wait_until(lambda: len(told) == 2) or True
    told = []

    def go(item):
        try:
            return crowd.gathering.ask(item)
        except Unavailable as busy:
            assert not isinstance(busy, OutcomeUnknown)
            told.append(item)
            return busy

    results = together(crowd.app, [lambda i=i: go(i) for i in range(3)])

    assert kinds(results)["Unavailable"] == 2
    assert [len(batch) for batch in crowd.batches] == [1] and crowd.gathering._queue == []


def test_who_has_waited_too_long_for_a_leader_does_not_know(crowd, monkeypatch):
    monkeypatch.setattr(gathering, "PATIENCE_S", 2.0)
    told = threading.Event()

    def hold(items):
        assert len(items) == 1 or told.wait(PATIENCE_S)
        return [0] * len(items)

    crowd.act = hold
    ask = crowd.ask

    def go(item):
        try:
            return ask(item)
        except OutcomeUnknown as unknown:
            told.set()
            return unknown

    crowd.ask = go

    assert kinds(crowd.ask_all([1, 2, 3])) == {"0": 2, "OutcomeUnknown": 1}
