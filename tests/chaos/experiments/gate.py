"""Redis emptied, frozen, replaced by an empty or an old one, in the middle of a sale."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.experiments.crowd import PLENTY, mixed
from tests.chaos.faults import GateWatch, every
from tests.chaos.fleet import Ask, Call, Crowd, each_once, percentile_ms, redemption
from tests.chaos.ground import Ground
from tests.chaos.trial import Trial

REBUILT_S = 5.0
UNASKED_S = 10.0  # a gate nobody asks for is rebuilt by the keeper
DETECTED_S = 2.0
STOPPED_MS = 300
FEW = 16  # no more clients than the web server has threads, so that nobody waits for a thread
THINK_S = 0.02


def x4(
    ground: Ground,
    *,
    clients: int = 100,
    times: int = 12,
    every_s: float = 5,
    units: int = 3000,
    gates: bool = True,
) -> Trial:
    """Everything in Redis is gone, again and again."""
    trial = Trial(
        "X4",
        f"FLUSHALL every {every_s} s under load, {times} times, then once without any: nothing"
        f" oversold, nobody let in before the gate stands, rebuilt within {REBUILT_S:.0f} s, INV",
        ground,
    )
    scarce = ground.stock(units, per_member_limit=1, hot=True)
    plenty = ground.stock(PLENTY, hot=True)
    emptied: list[float] = []

    def flush() -> None:
        ground.redis.client.flushall()
        emptied.append(time.monotonic())

    next_ask = mixed(ground.members, scarce, plenty)
    with GateWatch(ground, plenty) as watch:
        with Crowd(ground.port, trial.history, next_ask, clients=clients), every(every_s, flush):
            time.sleep(every_s * (times + 0.9))
        rebuilt = [_until(watch, moment) for moment in emptied]
        early = sum(_let_in_early(trial, watch, moment, plenty) for moment in emptied)
        if gates:
            _unasked(trial, watch, flush)
    slowest = max(rebuilt, default=99.0)
    trial.measure(flushed=len(emptied), slowest_rebuild_ms=round(slowest * 1000), early=early)
    trial.require(len(emptied) >= times, "not flushed as often as meant")
    trial.require(slowest <= REBUILT_S, f"the slowest rebuild took {slowest:.1f} s")
    trial.require(early == 0, f"{early} let in before the gate stood")
    return trial.settle([scarce, plenty], gates=gates)


def _until(watch: GateWatch, moment: float) -> float:
    at = watch.opened_after(moment)
    return at - moment if at is not None else 99.0


def _let_in_early(trial: Trial, watch: GateWatch, moment: float, reward_id: int) -> int:
    """Wishes for the watched reward begun after the flush and granted before the gate was seen."""
    at = watch.opened_after(moment) or time.monotonic()
    return sum(
        call.verdict == "done" and not call.replayed and call.ended_at < at - 0.05
        for call in trial.history.between(moment, at)
        if call.ask.body["reward_id"] == reward_id
    )


def _unasked(trial: Trial, watch: GateWatch, flush: Callable[[], None]) -> None:
    """Without traffic the keeper rebuilds the gate."""
    flush()
    moment = time.monotonic()
    took_s = watch.wait_for_epoch(-1, since=moment, within_s=UNASKED_S * 2)
    trial.measure(rebuilt_without_traffic_s=round(took_s, 1) if took_s else "never")
    trial.require(
        took_s is not None and took_s <= UNASKED_S,
        f"without traffic the gate was rebuilt only after {took_s} s",
    )


def x5(
    ground: Ground,
    *,
    clients: int = FEW,
    stop_s: float = 10,
    settle_s: float = 5,
    ceiling_ms: int = STOPPED_MS,
    gates: bool = True,
    stale: bool = True,
) -> Trial:
    """Redis hangs; then it is killed and comes back empty; then it comes back with an old file."""
    trial = Trial(
        "X5",
        f"Redis frozen for {stop_s} s: every answer within {ceiling_ms} ms; killed and started"
        f" empty, then with an old append-only file: noticed within {DETECTED_S:.0f} s, INV",
        ground,
    )
    hot = ground.stock(3000, per_member_limit=1, hot=True)
    plain = ground.stock(PLENTY)
    next_ask = mixed(ground.members, hot, plain)
    with (
        GateWatch(ground, hot) as watch,
        Crowd(ground.port, trial.history, next_ask, clients=clients, patience_s=0, think_s=THINK_S),
    ):
        time.sleep(2)
        _freeze(trial, stop_s, ceiling_ms, hot)
        time.sleep(settle_s)
        _come_back(trial, watch, "empty", None)
        time.sleep(settle_s)
        if stale:
            kept = ground.redis.keep_files()
            time.sleep(settle_s)
            _come_back(trial, watch, "old_file", kept)
            time.sleep(settle_s)
    return trial.settle([hot, plain], gates=gates)


def _freeze(trial: Trial, stop_s: float, ceiling_ms: int, hot: int) -> None:
    with trial.ground.redis.frozen():
        start = time.monotonic()
        time.sleep(stop_s)
        end = time.monotonic()
    time.sleep(0.5)
    during = trial.history.between(start, end)
    for name, is_it in (("hot", True), ("other", False)):
        calls = [call for call in during if (call.ask.body["reward_id"] == hot) is is_it]
        _speed(trial, name, calls, ceiling_ms)


def _speed(trial: Trial, name: str, calls: list[Call], ceiling_ms: int) -> None:
    slowest = percentile_ms(calls, 100)
    trial.measure(
        **{
            f"{name}_during_the_stop": len(calls),
            f"{name}_p50_ms": percentile_ms(calls, 50),
            f"{name}_p99_ms": percentile_ms(calls, 99),
            f"{name}_slowest_ms": slowest,
            f"{name}_answers": sorted({call.code or str(call.status) for call in calls}),
        }
    )
    trial.require(bool(calls), f"nobody asked for {name} rewards during the stop")
    trial.require(slowest <= ceiling_ms, f"{name}: the slowest answer took {slowest} ms")
    failed = sum(call.status is None or call.status == 500 for call in calls)
    trial.require(failed == 0, f"{name}: {failed} answers of 500 or none")


def _come_back(trial: Trial, watch: GateWatch, name: str, kept: Path | None) -> None:
    """Kill Redis and start it with other files; measures how soon the gate is a newer one."""
    redis = trial.ground.redis
    epoch, seq, _ = watch.look()
    redis.kill()
    if kept is None:
        redis.empty_files()
    else:
        redis.put_back(kept)
    redis.start()
    moment = time.monotonic()
    took_s = watch.wait_for_epoch(epoch or 0, since=moment, within_s=DETECTED_S * 5)
    shown = f"{took_s:.2f} s" if took_s is not None else f"not within {DETECTED_S * 5:.0f} s"
    trial.measure(**{f"{name}_noticed": shown, f"{name}_seq_before": seq})
    trial.require(took_s is not None and took_s <= DETECTED_S, f"{name}: noticed {shown}")


def x6(ground: Ground, *, clients: int = 50, units: int = 600) -> Trial:
    """A copy of Redis from the sale's beginning takes over when nearly everything is sold."""
    trial = Trial(
        "X6",
        "an old snapshot restored mid-sale: what its gate lets in too much is refused by SQL,"
        " nothing oversold, the rebuild logged, INV",
        ground,
    )
    reward_id = ground.stock(units)
    people = itertools.cycle(ground.members)
    asks = (redemption(member, reward_id) for member in people)
    early = list(itertools.islice(asks, units // 10))
    late = list(itertools.islice(asks, units * 9 // 10))
    _sell(trial, early, clients)
    kept = ground.redis.snapshot()
    _sell(trial, late, clients)
    logged = ground.output().count(f"gate of reward {reward_id}")
    sold = ground.number("SELECT units_promised FROM rewards WHERE id = :id", id=reward_id)
    with GateWatch(ground, reward_id) as watch:
        ground.redis.kill()
        ground.redis.put_back(kept)
        ground.redis.start(appends=False)
        moment = time.monotonic()
        epoch, _, shown_units = watch.look()
        _sell(trial, list(itertools.islice(asks, units)), clients)
        took_s = watch.wait_for_epoch(epoch or 0, since=moment, within_s=40)
    refused = trial.history.count(lambda call: call.code == "sold_out")
    said = ground.output().count(f"gate of reward {reward_id}") - logged
    shown = f"{took_s:.1f} s" if took_s is not None else "never"
    trial.measure(sold_before=sold, the_old_gate_had=shown_units, refused=refused, rebuilt=shown)
    trial.require(shown_units > 0, "the old gate had nothing to give, so nothing was tried")
    trial.require(took_s is not None, "the old gate was never replaced")
    trial.require(said > 0, "the rebuild was not logged")
    return trial.settle([reward_id])


def _sell(trial: Trial, asks: list[Ask], clients: int) -> None:
    with Crowd(trial.ground.port, trial.history, each_once(asks), clients=clients) as crowd:
        crowd.wait()
