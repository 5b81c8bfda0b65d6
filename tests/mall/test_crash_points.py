"""Every point at which a redemption, a cancellation, the reaper or a rebuild can die.

Whatever is left behind, a round or two of the keeper makes the gate say what SQL says, without a
lease; and the same key gets one answer for one effect. P12, who commits for others, is in
test_together.py.
"""

from importlib import import_module

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from mall import clock, gates, idempotency, jobs, redemptions
from mall.errors import KeyInProgress, MallError, OutcomeUnknown, RewardBusy, Unavailable
from mall.gates import build
from mall.guards import stock
from mall.guards.client import client
from models import IdempotencyKey, Redemption, Reward, db
from tests.makers import a_key
from tests.mall.books import ask, balance, count, gate, one, said, trades, units_left, wrong

path = import_module("mall.redemptions.redeem")  # whose name is also its verb's
door = import_module("mall.redemptions.gate")
cancelling = import_module("mall.redemptions.cancel")
reaper = import_module("mall.gates.reap")

UNITS, POINTS, LIMIT = 5, 10, 3


class Died(BaseException):
    """The process is gone: nothing after this runs."""


@pytest.fixture
def shopper(a_member):
    return a_member(points=POINTS)


@pytest.fixture
def reward(a_reward):
    """A reward whose gate stands open and has been seen by the keeper."""
    made = a_reward(units=UNITS, price_points=1, per_member_limit=LIMIT).id
    keep(1)
    return made


@pytest.fixture(autouse=True)
def leases_end_at_once(monkeypatch):
    monkeypatch.setattr(stock, "LEASE_MS", -1)


@pytest.fixture
def die(monkeypatch):
    """Do something in a process that dies before or after a function; nothing of it tidies up."""

    def at(owner, name, act, *, after=False):
        real = getattr(owner, name)

        def dying(*args, **kwargs):
            if after:
                real(*args, **kwargs)
            raise Died

        def dead(*_args, **_kwargs):
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(door, "_end", dead)
            patch.setattr(owner, name, dying)
            with pytest.raises(Died):
                act()
        db.session.rollback()

    return at


def redeem(request):
    return redemptions.redeem(request, now=clock.now())


def keep(rounds=3):
    for _ in range(rounds):
        gates.keep(route=redemptions.ROUTE)


def is_whole(reward, bought, shopper=None):
    """Gate and SQL agree, nobody holds a lease, and so many units were bought.

    A member's count at the gate is never too high; one that is too low lets through whom SQL refuses.
    """
    assert gate(reward) == (UNITS - bought, 0) == (units_left(reward), 0)
    assert count(Redemption, Redemption.state == "issued") == bought
    assert wrong() == []
    if shopper is not None:
        assert balance(shopper) == POINTS - bought
        assert int(client().hget(f"{{rw:{reward}}}:m:ever", str(shopper)) or 0) <= bought


def is_mended(reward, request, *, bought):
    """After the keeper all is whole; then the same key is answered, and has one effect in all."""
    keep()
    is_whole(reward, bought, request.member_id)
    answer = redeem(request)
    assert answer.status == 201 and answer.replayed == bool(bought)
    keep()
    is_whole(reward, 1, request.member_id)
    assert redeem(request).body == answer.body


@pytest.mark.covers("E3")
def test_p1_before_the_gate(shopper, reward, die):
    request = ask(shopper, reward)
    die(stock, "reserve_many", lambda: redeem(request))

    assert gate(reward) == (UNITS, 0)
    is_mended(reward, request, bought=0)


@pytest.mark.covers("E3")
def test_p2_at_the_gate_whose_answer_is_lost(shopper, reward, die):
    request = ask(shopper, reward)
    die(stock, "reserve_many", lambda: redeem(request), after=True)

    assert gate(reward) == (UNITS - 1, 1)
    is_mended(reward, request, bought=0)


@pytest.mark.covers("E3")
def test_p2_between_the_gate_and_sql(shopper, reward, die):
    request = ask(shopper, reward)
    die(path, "commit_many", lambda: redeem(request))

    assert gate(reward) == (UNITS - 1, 1)
    with pytest.raises(KeyInProgress):
        redeem(request)
    is_mended(reward, request, bought=0)


def test_p2_a_retry_takes_the_lease_over_before_the_reaper_comes(shopper, reward, die, monkeypatch):
    request = ask(shopper, reward)
    die(path, "commit_many", lambda: redeem(request))
    monkeypatch.setattr(stock, "ADOPT_MS", 0)

    assert redeem(request).status == 201

    is_whole(reward, 1, shopper)


@pytest.mark.covers("E3")
@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (idempotency, "claim_many", True),
        (path.points, "open_book", True),
        (path.limits, "take_many", True),
        (path.vouchers, "issue_many", True),
        (idempotency, "store_many", True),
        (path.rewards, "take_many", False),
        (path.rewards, "take_many", True),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_p3_inside_the_transaction(shopper, reward, die, owner, name, after):
    request = ask(shopper, reward)
    die(owner, name, lambda: redeem(request), after=after)

    assert trades() == 0 and gate(reward) == (UNITS - 1, 1)
    is_mended(reward, request, bought=0)


def lose_commit(monkeypatch, *, committed):
    commit = db.session.commit

    def lossy():
        if committed:
            commit()
        raise OperationalError("COMMIT", None, Exception("the connection went away"))

    monkeypatch.setattr(db.session, "commit", lossy)


@pytest.mark.covers("E3")
@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("first", ["keeper", "retry"])
def test_p4_in_commit_whose_answer_is_lost(shopper, reward, monkeypatch, committed, first):
    request = ask(shopper, reward)
    with monkeypatch.context() as patch:
        lose_commit(patch, committed=committed)
        with pytest.raises(OutcomeUnknown):
            redeem(request)

    assert trades() == committed and gate(reward) == (UNITS - 1, 1)
    if first == "retry":
        monkeypatch.setattr(stock, "ADOPT_MS", 0)
        assert redeem(request).replayed == committed
        keep()
        is_whole(reward, 1, shopper)
    else:
        is_mended(reward, request, bought=int(committed))


@pytest.mark.covers("E3")
@pytest.mark.parametrize("point", [(path, "end"), (door, "settle")], ids=["end", "settle"])
def test_p5_after_commit_before_the_lease_is_settled(shopper, reward, die, point):
    request = ask(shopper, reward)
    die(*point, lambda: redeem(request))

    assert trades() == 1 and gate(reward) == (UNITS - 1, 1)
    is_mended(reward, request, bought=1)


def test_p6_after_all_is_done_before_anybody_hears_of_it(shopper, reward):
    request = ask(shopper, reward)
    redeem(request)

    is_mended(reward, request, bought=1)


@pytest.mark.covers("E3")
@pytest.mark.parametrize("told_by", ["traffic", "keeper"])
@pytest.mark.parametrize("lost", ["reservation", "settlement", "release"])
def test_p7_redis_dies_and_forgets_its_last_second(
    a_member, shopper, reward, go_back, die, lost, told_by, app
):
    request, other = ask(shopper, reward), ask(a_member(points=POINTS), reward)
    if lost == "reservation":
        restore = go_back()
        redeem(request)
    else:
        die(path, "commit_many", lambda: redeem(request))
        restore = go_back()
        if lost == "settlement":
            keep(1)
    if told_by == "keeper":
        keep(1)
    restore()
    app.extensions.pop("gate_seqs", None) if told_by == "keeper" else redeem(other)

    keep()

    is_whole(reward, (lost == "reservation") + (told_by == "traffic"))


@pytest.mark.covers("E3")
@pytest.mark.parametrize("held", [False, True])
def test_p8_redis_is_emptied(shopper, reward, die, held):
    request = ask(shopper, reward)
    if held:
        die(path, "commit_many", lambda: redeem(request))
    else:
        redeem(request)
    client().flushall()
    assert gate(reward) is None

    is_mended(reward, request, bought=int(not held))


@pytest.mark.covers("E3")
def test_p9_a_replica_that_was_behind_takes_over(a_member, shopper, reward, go_back, monkeypatch):
    restore = go_back()
    requests = [ask(a_member(points=POINTS), reward) for _ in range(UNITS - 1)]
    for request in requests:
        redeem(request)
    restore()
    monkeypatch.setattr(stock, "server", lambda: "replica:other")
    assert gate(reward) == (UNITS, 0), "it would let all of them in once more"

    late = [ask(shopper, reward, key=a_key(shopper)) for _ in range(3)]
    granted = []
    for request in late:
        try:
            granted.append(redeem(request))
        except MallError:
            continue

    assert len(granted) == 1
    keep()
    is_whole(reward, UNITS)


@pytest.mark.covers("E3")
@pytest.mark.parametrize("hot", [True, False])
def test_p10_redis_hangs(shopper, reward, dead_redis, hot):
    db.session.execute(sa.update(Reward).values(hot=hot))
    db.session.commit()
    request = ask(shopper, reward)
    with dead_redis.hang():
        if hot:
            with pytest.raises(RewardBusy) as refusal:
                redeem(request)
            assert refusal.value.retry_after_s == 2
        else:
            assert redeem(request).status == 201
        keep()

    is_mended(reward, request, bought=int(not hot))


@pytest.mark.covers("E3")
def test_p11_the_database_goes_away_in_the_midst_of_it(shopper, reward, monkeypatch):
    request = ask(shopper, reward)

    def gone(*_units):
        raise OperationalError("", None, Exception("gone"), connection_invalidated=True)

    with monkeypatch.context() as patch:
        patch.setattr(path.rewards, "take_many", gone)
        with pytest.raises(Unavailable) as refusal:
            redeem(request)

    assert not isinstance(refusal.value, OutcomeUnknown)
    assert gate(reward) == (UNITS, 0), "what is known to be undone is released at once"
    is_mended(reward, request, bought=0)


def test_p11_the_server_ends_the_session(shopper, reward, monkeypatch):
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no session to end")
    request, take = ask(shopper, reward), path.rewards.take_many

    def end_session(*units):
        backend = db.session.scalar(sa.text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
        take(*units)

    with monkeypatch.context() as patch:
        patch.setattr(path.rewards, "take_many", end_session)
        with pytest.raises(Unavailable):
            redeem(request)

    assert gate(reward) == (UNITS, 0)
    is_mended(reward, request, bought=0)


@pytest.mark.covers("E3")
@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [(idempotency, "give_up", True), (stock, "release", False), (stock, "release", True)],
    ids=["tombstone", "before", "after"],
)
def test_p13_the_reaper_dies_half_way(shopper, reward, die, owner, name, after):
    request = ask(shopper, reward)
    die(path, "commit_many", lambda: redeem(request))

    die(owner, name, lambda: keep(1), after=after)

    assert one(IdempotencyKey.state, IdempotencyKey.key == request.key.text) == "aborted"
    is_mended(reward, request, bought=0)


def test_p13_the_reaper_dies_before_it_settles(shopper, reward, die):
    request = ask(shopper, reward)
    die(path, "end", lambda: redeem(request))

    die(stock, "settle", lambda: keep(1))

    is_mended(reward, request, bought=1)


@pytest.mark.covers("E3")
@pytest.mark.parametrize("by", ["keeper", "traffic"])
@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (stock, "builder", True),
        (build, "_read", False),
        (build, "_read", True),
        (stock, "install", True),
        (stock, "builder_done", False),
    ],
    ids=["lock", "before", "epoch", "installed", "unlock"],
)
def test_p14_a_rebuild_dies(shopper, reward, die, owner, name, after, by, monkeypatch):
    client().flushall()
    monkeypatch.setattr(stock, "BUILDER_LOCK_MS", 1)  # a dead builder's lock ends by itself
    request = ask(shopper, reward)

    die(owner, name, lambda: gates.rebuild(reward), after=after)

    if by == "traffic":
        assert redeem(request).status == 201
    is_mended(reward, request, bought=int(by == "traffic"))


def test_p14_counts_that_were_loaded_and_never_installed_go_by_themselves(
    shopper, reward, die, monkeypatch
):
    redeem(ask(shopper, reward))
    monkeypatch.setattr(stock, "BUILDER_LOCK_MS", 1)

    die(stock, "script", lambda: gates.rebuild(reward))
    loaded = [key for key in client().keys("*:m:*") if not key.endswith(":ever")]

    keep()
    is_whole(reward, 1, shopper)
    assert all(0 < client().ttl(key) <= stock.LOADING_S for key in loaded)


@pytest.mark.covers("E3")
@pytest.mark.parametrize("mended_by", ["worker", "keeper", "both"])
@pytest.mark.parametrize("point", ["before", "after"])
def test_p15_a_cancellation_dies_between_sql_and_the_gate(shopper, reward, die, mended_by, point):
    trade = said(redeem(ask(shopper, reward)))["id"]
    key = a_key(shopper, route="POST /cancellation")

    def take_back():
        redemptions.cancel(shopper, trade, key=key, now=clock.now())

    die(cancelling, "tell_gate", take_back, after=point == "after")

    assert units_left(reward) == UNITS
    if mended_by != "keeper":
        jobs.drain_events()
        assert gate(reward) == (UNITS, 0)
    if mended_by != "worker":
        keep()
    jobs.drain_events()
    keep()
    is_whole(reward, 0, shopper)
