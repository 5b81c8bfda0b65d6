"""The gate's scripts, on a real Redis: each judges a batch in order and never lends a unit twice."""

import pytest

from mall.guards import stock
from mall.guards.client import client
from mall.guards.stock import Ask, NoGate, Verdict
from tests.mall.together import together

REWARD, EVER = 7, "ever"
RESERVED, HELD, LIMIT, SOLD_OUT, ADOPTED = (
    Verdict.RESERVED,
    Verdict.HELD,
    Verdict.LIMIT,
    Verdict.SOLD_OUT,
    Verdict.ADOPTED,
)


@pytest.fixture(autouse=True)
def context(app):
    """Redis is the application's."""


def install(units_left=5, epoch=1, counts=()):
    return stock.install(REWARD, epoch=epoch, units_left=units_left, period=EVER, counts=counts)


def reserve(*asks, epoch=1, limit=None):
    return stock.reserve_many(REWARD, asks, epoch=epoch, limit=limit, period=EVER)


def an_ask(member=1, quantity=1, token=None):
    return Ask(member, token or f"{member}:key", quantity)


def gate():
    seen = stock.look(REWARD)
    return seen and (seen.units_left, seen.leases)


def counts():
    return {int(m): int(n) for m, n in client().hgetall(f"{{rw:{REWARD}}}:m:{EVER}").items()}


# reserving


def test_a_batch_is_judged_one_by_one_in_order():
    install(units_left=4, counts=[(2, 1)])
    asks = [an_ask(1, 2), an_ask(2, 2), an_ask(3, 3), an_ask(4, 1), an_ask(5, 2), an_ask(6, 1)]

    assert reserve(*asks, limit=2) == [RESERVED, LIMIT, LIMIT, RESERVED, SOLD_OUT, RESERVED]

    assert gate() == (0, 3)
    assert counts() == {1: 2, 2: 1, 4: 1, 6: 1}


def test_one_token_twice_in_a_batch_is_held_the_second_time():
    install()

    assert reserve(an_ask(), an_ask()) == [RESERVED, HELD] and gate() == (4, 1)


def test_two_requests_of_one_member_in_a_batch_share_one_limit():
    install()

    assert reserve(an_ask(token="1:a"), an_ask(token="1:b"), limit=1) == [RESERVED, LIMIT]


def test_a_limit_of_none_is_no_limit():
    install(units_left=99)

    assert reserve(an_ask(quantity=99)) == [RESERVED] and gate() == (0, 1)


def test_nothing_is_reserved_without_a_gate_or_at_one_of_another_epoch_or_a_closed_one():
    with pytest.raises(NoGate):
        reserve(an_ask())
    install(epoch=3)
    for epoch in (2, 4):
        with pytest.raises(NoGate):
            reserve(an_ask(), epoch=epoch)
    client().hset(f"{{rw:{REWARD}}}:g", "state", "closed")
    with pytest.raises(NoGate):
        reserve(an_ask(), epoch=3)

    assert client().hget(f"{{rw:{REWARD}}}:g", "avail") == "5" and counts() == {}


def test_a_crowd_gets_no_more_than_there_is(app):
    install(units_left=7)
    asks = [an_ask(member) for member in range(40)]

    verdicts = together(app, [lambda a=a: reserve(a)[0] for a in asks])

    assert verdicts.count(RESERVED) == 7 and verdicts.count(SOLD_OUT) == 33
    assert gate() == (0, 7)


def test_each_call_moves_the_gates_count_of_calls():
    install()
    before = int(client().hget(f"{{rw:{REWARD}}}:g", "seq"))

    reserve(an_ask(1)), reserve(an_ask(2))

    assert int(client().hget(f"{{rw:{REWARD}}}:g", "seq")) == before + 2


# ending


def test_what_is_settled_stays_taken_and_what_is_released_goes_back_once():
    install()
    kept, given_up = an_ask(1, 2), an_ask(2, 2)
    reserve(kept, given_up)

    assert stock.settle(REWARD, [kept], period=EVER) == 1
    assert stock.release(REWARD, [given_up], period=EVER) == 1
    for again in (stock.settle, stock.release):
        assert again(REWARD, [kept, given_up], period=EVER) == 0

    assert gate() == (3, 0) and counts() == {1: 2, 2: 0}
    assert stock.release(REWARD, [], period=EVER) == 0


def test_only_the_lease_in_force_can_be_ended():
    install()
    asked, stranger = an_ask(), an_ask()
    reserve(asked)

    assert stock.release(REWARD, [stranger], period=EVER) == 0 and gate() == (4, 1)


def test_one_lease_released_by_several_goes_back_once(app):
    install()
    asked = an_ask(quantity=2)
    reserve(asked)

    ended = together(app, [lambda: stock.release(REWARD, [asked], period=EVER)] * 10)

    assert sum(ended) == 1 and gate() == (5, 0)


# adopting


def test_a_young_lease_is_held_and_an_older_one_adopted(monkeypatch):
    install()
    first, retry = an_ask(), an_ask()
    reserve(first)

    assert reserve(retry) == [HELD]
    monkeypatch.setattr(stock, "ADOPT_MS", 0)
    assert reserve(retry) == [ADOPTED]

    assert gate() == (4, 1) and counts() == {1: 1}
    assert stock.release(REWARD, [first], period=EVER) == 0
    assert stock.release(REWARD, [retry], period=EVER) == 1
    assert gate() == (5, 0)


def test_whichever_attempt_at_a_lease_stands_settles_it(monkeypatch):
    monkeypatch.setattr(stock, "ADOPT_MS", 0)
    install()
    attempts = [an_ask() for _ in range(3)]
    for attempt in attempts:
        reserve(attempt)

    assert stock.settle(REWARD, [an_ask(), attempts[1]], period=EVER) == 1

    assert stock.release(REWARD, [attempts[2]], period=EVER) == 0 and gate() == (4, 0)


def test_a_lease_is_adopted_for_its_own_quantity_only(monkeypatch):
    monkeypatch.setattr(stock, "ADOPT_MS", 0)
    install()
    reserve(an_ask(quantity=1))

    assert reserve(an_ask(quantity=3)) == [HELD] and gate() == (4, 1)


# overdue


def test_overdue_leases_are_told_with_all_that_ending_them_needs(monkeypatch):
    install()
    monkeypatch.setattr(stock, "LEASE_MS", -1)
    asked = Ask(42, "42:a|strange|token", 2)
    reserve(asked)
    monkeypatch.setattr(stock, "LEASE_MS", 30_000)
    reserve(an_ask(2))

    assert stock.overdue(REWARD) == [(asked, EVER)]
    assert stock.release(REWARD, [asked], period=EVER) == 1 and stock.overdue(REWARD) == []


def test_a_lease_that_somebody_ended_meanwhile_is_not_told():
    install()
    client().zadd(f"{{rw:{REWARD}}}:l", {"ghost": 0})

    assert stock.overdue(REWARD) == []


def test_a_gate_without_leases_has_none_overdue():
    assert stock.overdue(REWARD) == []


# returning and installing


def test_a_cancellation_is_counted_once_however_often_it_is_told():
    install(units_left=3, counts=[(1, 2)])

    for _ in range(3):
        stock.put_back(REWARD, member_id=1, quantity=2, period=EVER, operation="cancel:1")
    stock.put_back(REWARD, member_id=1, quantity=1, period=EVER, operation="cancel:2")

    assert gate() == (6, 0) and counts() == {1: -1}
    assert client().ttl(f"{{rw:{REWARD}}}:o:cancel:1") > 6 * 86_400


def test_a_cancellation_without_a_gate_leaves_nothing_behind():
    stock.put_back(REWARD, member_id=1, quantity=2, period=EVER, operation="cancel:1")

    assert client().keys("*") == []


def test_a_newer_gate_replaces_all_of_the_older_one():
    install(counts=[(1, 1)])
    reserve(an_ask(2))

    assert install(units_left=9, epoch=2, counts=[(3, 2)])

    assert gate() == (9, 0) and counts() == {3: 2}


@pytest.mark.parametrize("epoch", [4, 5])
def test_a_gate_as_new_as_ours_is_left_alone(epoch):
    install(epoch=5)

    assert not install(units_left=9, epoch=epoch, counts=[(3, 2)])

    assert gate() == (5, 0) and counts() == {}
    assert client().keys("*:m:*") == [], "what was loaded for nothing is gone"


def test_counts_of_many_members_are_loaded_in_parts(monkeypatch):
    monkeypatch.setattr(stock, "COUNTS_AT_ONCE", 3)

    install(counts=[(member, member) for member in range(1, 9)])

    assert counts() == {member: member for member in range(1, 9)}


def test_one_builds_at_a_time_and_a_dead_builder_is_not_waited_for_for_ever():
    assert stock.builder(REWARD) and not stock.builder(REWARD)
    assert 0 < client().pttl(f"{{rw:{REWARD}}}:b") <= stock.BUILDER_LOCK_MS

    stock.builder_done(REWARD)
    assert stock.builder(REWARD)


def test_all_keys_of_a_reward_share_one_slot():
    install(counts=[(1, 1)])
    reserve(an_ask())
    stock.builder(REWARD)
    stock.put_back(REWARD, member_id=1, quantity=1, period=EVER, operation="x")

    keys = client().keys("*")
    assert len(keys) == 6 and all(key.startswith(f"{{rw:{REWARD}}}:") for key in keys)


def test_a_closed_or_absent_gate_is_none_to_look_at():
    assert stock.look(REWARD) is None
    install()
    client().hset(f"{{rw:{REWARD}}}:g", "state", "closed")

    assert stock.look(REWARD) is None
