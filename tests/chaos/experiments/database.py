"""PostgreSQL crashes under load, and connections that break exactly at COMMIT."""

import itertools
import random
import time
from collections import Counter

from tests.chaos.experiments.crowd import PLENTY, mixed
from tests.chaos.fleet import Ask, Call, Client, Crowd, all_at_once, redemption
from tests.chaos.ground import Ground
from tests.chaos.proxy import Cut
from tests.chaos.trial import Trial

BACK_S = 5.0  # after so long everything works again


def x7(
    ground: Ground,
    *,
    clients: int = 64,
    times: int = 5,
    clean_s: float = 5,
    back_s: float = BACK_S,
    gates: bool = True,
) -> Trial:
    """PostgreSQL dies in the middle of everything and recovers."""
    trial = Trial(
        "X7",
        f"{times} immediate restarts of PostgreSQL under load: no 5xx later than {back_s:.0f} s"
        " after its return, every unknown outcome resolved by its key, INV",
        ground,
    )
    assert ground.database is not None
    scarce, plenty = ground.stock(1000, per_member_limit=1, hot=True), ground.stock(PLENTY)
    next_ask = mixed(ground.members, scarce, plenty)
    spans: list[tuple[float, float]] = []  # from a return to the next death
    down_s = []
    with Crowd(ground.port, trial.history, next_ask, clients=clients):
        time.sleep(2)
        for _ in range(times):
            died_at = time.monotonic()
            ground.database.end()
            ground.database.start()
            back_at = time.monotonic()
            down_s.append(back_at - died_at)
            time.sleep(back_s + clean_s)
            spans.append((back_at, time.monotonic()))
    lives = [(start, _whole(trial, start, end)) for start, end in spans]
    late = [call for start, calls in lives for call in calls if call.started_at > start + back_s]
    wrong = Counter(call.code or str(call.status) for call in late if _failed(call))
    last = [max((c.ended_at - at for c in calls if _failed(c)), default=0.0) for at, calls in lives]
    bare = [call for call in trial.history.calls if call.status == 500]
    trial.measure(
        down_s=[round(each, 1) for each in down_s],
        last_5xx_s_after_each_return=[round(each, 1) for each in last],
        calls_later=len(late),
        answers_of_500=len(bare),
    )
    trial.require(bool(late), "nobody asked in the clean spans")
    trial.require(not bare, f"{len(bare)} answers of 500, which says nothing of what happened")
    trial.require(not wrong, f"5xx later than {back_s:.0f} s after the return: {dict(wrong)}")
    return trial.settle([scarce, plenty], gates=gates)


def _whole(trial: Trial, start: float, end: float) -> list[Call]:
    """Calls that had a whole life of the database: answered before its next death."""
    return [call for call in trial.history.between(start, end) if call.ended_at < end]


def _failed(call: Call) -> bool:
    return call.status is None or call.status >= 500


def x8(ground: Ground, *, cuts: int = 500, clients: int = 8, gates: bool = True) -> Trial:
    """The connection is gone at the very moment of COMMIT: did it stand or not?"""
    trial = Trial(
        "X8",
        f"{cuts} connections cut exactly at COMMIT, before it, at once after it, and after its"
        " answer: no double, no lost acknowledgement, the same key gets the final answer",
        ground,
    )
    assert ground.proxy is not None
    reward_id = ground.stock(PLENTY)
    kinds = itertools.cycle(Cut)

    def choose() -> Cut | None:
        wanted = len(ground.proxy.cuts) < cuts and random.random() < 0.7
        return next(kinds) if wanted else None

    ground.proxy.cuts.clear()
    ground.proxy.choose = choose
    rounds = 0
    while len(ground.proxy.cuts) < cuts and rounds < cuts:
        rounds += 1
        asks = [redemption(random.choice(ground.members), reward_id) for _ in range(clients * 4)]
        all_at_once(ground.port, trial.history, asks, clients=clients)
    ground.proxy.choose = lambda: None
    unknown = [call.ask for call in trial.history.calls if call.verdict == "unknown"]
    open_before = {ask for ask in unknown}
    stood = _stood(ground, reward_id, open_before)
    trial.measure(
        cuts=dict(Counter(cut.name for cut in ground.proxy.cuts)),
        of_them_stood=stood,
        told=dict(Counter(call.code or str(call.status) for call in trial.history.calls)),
    )
    trial.require(len(ground.proxy.cuts) >= cuts, f"only {len(ground.proxy.cuts)} cuts")
    kept = Counter(ground.proxy.cuts)
    in_doubt = kept[Cut.AT_ONCE]
    cut_as_meant = kept[Cut.AFTER] <= stood <= kept[Cut.AFTER] + in_doubt
    trial.require(cut_as_meant, f"{stood} stood of {kept}: the proxy did not cut where it says")
    trial.settle([reward_id], gates=gates)
    _each_again(trial, sorted(open_before, key=lambda ask: str(ask.key)))
    return trial.end()


def _stood(ground: Ground, reward_id: int, asks: set[Ask]) -> int:
    """Transactions that stood of those with these wishes; what commits together has one moment."""
    query = "SELECT member_id, request_key, created_at FROM redemptions WHERE reward_id = :id"
    found = {tuple(row[:2]): row[2] for row in ground.rows(query, id=reward_id)}
    wanted = {(ask.member_id, ask.key) for ask in asks}
    return len({found[each] for each in wanted & found.keys()})


def _each_again(trial: Trial, asks: list[Ask]) -> None:
    """Whoever was left in doubt may ask once more, and is told the very same thing."""
    client = Client(trial.ground.port)
    history = trial.history.by_ask()
    for ask in asks:
        again, last = client.ask(ask), history[ask][-1]
        same = (again.status, again.raw, again.replayed) == (last.status, last.raw, True)
        trial.require(same, f"key {ask.key}: {last.status} became {again.status} {again.code}")
    client.close()
