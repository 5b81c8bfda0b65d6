"""A worker serves so many at once, in the order they came; who waits for others is not counted."""

import threading
from concurrent.futures import CancelledError

import pytest

from mall.aside import aside, here
from mall.gathering import Gathering
from mall.serve.places import Places
from tests.servers import wait_until

PATIENCE_S = 20


class Visit:
    """A request that stays until it is told to go on."""

    def __init__(self, *, waits_aside=False):
        self.waits_aside = waits_aside
        self.came, self.go_on = threading.Event(), threading.Event()

    def __call__(self):
        self.came.set()
        if self.waits_aside:
            with aside():
                assert self.go_on.wait(PATIENCE_S)
        else:
            assert self.go_on.wait(PATIENCE_S)
        return "served"


@pytest.fixture
def places():
    made = Places(2, most=4)
    yield made
    made.shutdown()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == made.name])


def test_no_more_than_so_many_are_served_at_once(places):
    visits = [Visit() for _ in range(3)]
    outcomes = [places.submit(visit) for visit in visits]
    assert visits[0].came.wait(PATIENCE_S) and visits[1].came.wait(PATIENCE_S)

    assert not visits[2].came.is_set()
    visits[0].go_on.set()
    assert visits[2].came.wait(PATIENCE_S)

    for visit in visits:
        visit.go_on.set()
    assert [outcome.result(PATIENCE_S) for outcome in outcomes] == ["served"] * 3


def test_they_are_served_in_the_order_they_came():
    places, served = Places(1, most=1), []
    first = Visit()
    places.submit(first)
    outcomes = [places.submit(served.append, number) for number in range(50)]
    first.go_on.set()
    for outcome in outcomes:
        outcome.result(PATIENCE_S)
    places.shutdown()

    assert served == list(range(50))


def test_who_waits_for_others_gives_its_place_up(places):
    waiting = [Visit(waits_aside=True) for _ in range(2)]
    outcomes = [places.submit(visit) for visit in waiting]
    for visit in waiting:
        assert visit.came.wait(PATIENCE_S)

    other = Visit()
    served = places.submit(other)
    assert other.came.wait(PATIENCE_S)

    for visit in [other, *waiting]:
        visit.go_on.set()
    assert [each.result(PATIENCE_S) for each in [served, *outcomes]] == ["served"] * 3


def test_who_comes_back_takes_a_place_from_who_has_not_come_yet(places):
    waiting, at_work, last = Visit(waits_aside=True), [Visit(), Visit()], Visit()
    back = places.submit(waiting)
    assert waiting.came.wait(PATIENCE_S)
    for visit in at_work:
        places.submit(visit)
        assert visit.came.wait(PATIENCE_S)
    outcome = places.submit(last)
    waiting.go_on.set()
    back.result(PATIENCE_S)

    assert not last.came.is_set()  # two are still at work
    last.go_on.set()
    for visit in at_work:
        visit.go_on.set()
    assert outcome.result(PATIENCE_S) == "served"


def test_there_are_never_more_threads_than_allowed(places):
    waiting = [Visit(waits_aside=True) for _ in range(5)]
    outcomes = [places.submit(visit) for visit in waiting]
    for visit in waiting[:4]:
        assert visit.came.wait(PATIENCE_S)

    assert not waiting[4].came.is_set()
    for visit in waiting:
        visit.go_on.set()
    assert [each.result(PATIENCE_S) for each in outcomes] == ["served"] * 5


def test_a_request_that_fails_costs_nobody_a_place(places):
    def fails():
        raise ZeroDivisionError

    for _ in range(10):
        with pytest.raises(ZeroDivisionError):
            places.submit(fails).result(PATIENCE_S)
    with pytest.raises(SystemExit):
        places.submit(exit).result(PATIENCE_S)

    assert places.submit(lambda: "served").result(PATIENCE_S) == "served"


def test_the_end_serves_who_has_come_and_takes_no_more(places):
    visits = [Visit() for _ in range(3)]
    outcomes = [places.submit(visit) for visit in visits]
    places.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        places.submit(Visit())

    for visit in visits:
        visit.go_on.set()

    assert [each.result(PATIENCE_S) for each in outcomes] == ["served"] * 3
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == places.name])


def test_an_end_at_once_forgets_who_waits(places):
    visits = [Visit() for _ in range(3)]
    outcomes = [places.submit(visit) for visit in visits]
    assert visits[1].came.wait(PATIENCE_S)
    places.shutdown(wait=False, cancel_futures=True)
    for visit in visits:
        visit.go_on.set()

    with pytest.raises(CancelledError):
        outcomes[2].result(PATIENCE_S)
    assert outcomes[0].result(PATIENCE_S) == "served"


def test_outside_a_worker_nobody_has_a_place_to_give_up():
    assert here.place is None
    with aside():
        pass


def test_who_waits_in_a_long_gathering_steps_aside(places):
    """So the crowd before a till keeps nobody from the door."""
    leading, go_on = threading.Event(), threading.Event()

    def act(items):
        leading.set()
        assert go_on.wait(PATIENCE_S)
        return items

    till = Gathering(act, apart=lambda item: item, steps_aside=True)
    outcomes = [places.submit(till.ask, 0)]
    assert leading.wait(PATIENCE_S)
    outcomes += [places.submit(till.ask, number) for number in (1, 2)]
    wait_until(lambda: len(till._queue) == 2)

    assert places.submit(lambda: "served").result(PATIENCE_S) == "served"
    go_on.set()
    assert [each.result(PATIENCE_S) for each in outcomes] == [0, 1, 2]
