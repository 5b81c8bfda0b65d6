"""The gate before a reward: turns the crowd away cheaply, and never decides who got it.

Protocol: docs/redemption.md. All keys of a reward share one hash tag, so one Redis slot; a lease
is a reservation that ends by itself when whoever took it never comes back.
"""

import logging
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from mall.guards.client import client, piped, script
from mall.guards.seqs import seqs

log = logging.getLogger(__name__)

LEASE_MS = 30_000
ADOPT_MS = 2_000
RETURN_REMEMBERED_S = 7 * 86_400
COUNTS_AT_ONCE = 5_000
REAPED_AT_ONCE = 500
BUILDER_LOCK_MS = 5_000
LOADING_S = 300  # counts that are loaded and never installed go by themselves
SAMPLED_AT_ONCE = 200
NEVER = 2**53  # an epoch that never comes


class NoGate(Exception):
    """There is no gate, another epoch's, or a closed one: SQL must rebuild it."""


class Verdict(Enum):
    RESERVED = 1
    HELD = 2
    LIMIT = 3
    SOLD_OUT = 4
    ADOPTED = 5  # the lease of an earlier attempt, whose units are taken already


@dataclass(frozen=True)
class Ask:
    """One request for units. `token` names it for ever, `lease` this attempt at it.

    As the gate tells it, a lease that was adopted names the attempts before it too, after dots.
    """

    member_id: int
    token: str
    quantity: int
    lease: str = field(default_factory=lambda: secrets.token_hex(8))

    def went_to(self, lease: str | None) -> bool:
        """Whether the units of this lease are those a redemption took under `lease`.

        A redemption without one was decided without a gate: the units may stand for any.
        """
        return lease is None or lease in self.lease.split(".")


@dataclass(frozen=True)
class Lease:
    """A live lease: the request it stands for and the period its units count in."""

    ask: Ask
    period: str


@dataclass(frozen=True)
class Gate:
    """What the gate says of itself at one moment."""

    epoch: int  # -1 where leases are all there is
    units_left: int
    leases: int
    seq: int = 0
    is_open: bool = True
    oldest_s: float = 0.0  # how long ago its oldest lease was given
    live: tuple[Lease, ...] = ()  # its leases, where they were asked for and are not too many

    @property
    def is_overdue(self) -> bool:
        return bool(self.leases) and self.oldest_s >= LEASE_MS / 1000


def _key(reward_id: int, part: str) -> str:
    return f"{{rw:{reward_id}}}:{part}"


def _keys(reward_id: int, period: str) -> list[str]:
    return [_key(reward_id, part) for part in ("g", f"m:{period}", "l", "d")]


def reserve_many(
    reward_id: int,
    asks: Sequence[Ask],
    *,
    epoch: int,
    limit: int | None,
    period: str,
    forget_at: datetime | None = None,
) -> list[Verdict]:
    """Reserve units for each request or turn it away; raises NoGate, or RedisError when it is down.

    A gate whose count has not grown went back in time: it is closed, and what it has just reserved
    is void, for the gate that takes its place knows no lease.
    """
    items = [part for ask in asks for part in (ask.member_id, ask.token, ask.lease, ask.quantity)]
    known = seqs().known(reward_id, epoch)
    answer = script("stock_reserve")(
        keys=_keys(reward_id, period),
        args=[epoch, LEASE_MS, limit or 0, period, ADOPT_MS, _seconds(forget_at), *items],
    )
    if answer[0] < 0:
        raise NoGate()
    if answer[0] <= known:
        log.warning("the gate of reward %s went back from %s to %s", reward_id, known, answer[0])
        close(reward_id, epoch=epoch)
        raise NoGate()
    seqs().saw(reward_id, epoch, answer[0])
    return [Verdict(code) for code in answer[1:]]


def sold_out_many(reward_id: int, asks: Sequence[Ask], *, epoch: int) -> list[int | None]:
    """How many units a gate has left for each request that it would refuse for want of them.

    Nothing is reserved. None where the units may be had, where the request holds a lease already,
    and where this gate can't say; raises RedisError when it is down.
    """
    known = seqs().known(reward_id, epoch)
    keys = [_key(reward_id, part) for part in "gl"]
    args = [part for ask in asks for part in (ask.token, ask.quantity)]
    answer = script("stock_sold_out")(keys=keys, args=[epoch, *args])
    if not answer or answer[0] < known:
        return [None] * len(asks)
    return [units if units >= 0 else None for units in answer[1:]]


def _seconds(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0


def settle(reward_id: int, asks: Iterable[Ask], *, period: str) -> int:
    """End leases whose redemption stands; the units stay taken."""
    return _end("settle", reward_id, asks, period)


def release(reward_id: int, asks: Iterable[Ask], *, period: str) -> int:
    """End leases that led to nothing; the units go back, once."""
    return _end("release", reward_id, asks, period)


def _end(how: str, reward_id: int, asks: Iterable[Ask], period: str) -> int:
    items = [part for ask in asks for part in (ask.token, ask.lease)]
    if not items:
        return 0
    ended: int = script("stock_end")(keys=_keys(reward_id, period), args=[how, *items])
    return ended


def put_back(
    reward_id: int,
    *,
    member_id: int,
    quantity: int,
    period: str,
    operation: str,
    epoch: int | None = None,
) -> None:
    """Put back a cancelled redemption's units; told twice, it counts once.

    `epoch` is the reward's when SQL took them back: a gate built later has them already.
    """
    keys = _keys(reward_id, period)[:2] + [_key(reward_id, f"o:{operation}")]
    known_until = NEVER if epoch is None else epoch
    script("stock_return")(keys=keys, args=[quantity, member_id, RETURN_REMEMBERED_S, known_until])


def builder(reward_id: int) -> bool:
    """Whether the caller is the one to rebuild this gate now."""
    lock = _key(reward_id, "b")
    return bool(client().set(lock, "1", nx=True, px=BUILDER_LOCK_MS))


def builder_done(reward_id: int) -> None:
    client().delete(_key(reward_id, "b"))


def close(reward_id: int, *, epoch: int) -> bool:
    """Let nobody pass a gate of this epoch any more; a newer one stays open."""
    return bool(script("stock_close")(keys=[_key(reward_id, "g")], args=[epoch]))


def shift(reward_id: int, *, epoch: int, seq: int, units: int) -> bool:
    """Correct a gate's units, where it has not moved since it was looked at."""
    return bool(script("stock_shift")(keys=[_key(reward_id, "g")], args=[epoch, seq, units]))


def install(
    reward_id: int,
    *,
    epoch: int,
    units_left: int,
    period: str,
    counts: Sequence[tuple[int, int]],
    forget_at: datetime | None = None,
) -> bool:
    """Open a gate with SQL's numbers; False where a gate as new is there already."""
    new = _key(reward_id, f"m:{period}:{epoch}")
    for start in range(0, len(counts), COUNTS_AT_ONCE):
        part = counts[start : start + COUNTS_AT_ONCE]
        client().hset(new, mapping={str(member): quantity for member, quantity in part})
        client().expire(new, LOADING_S)
    keys = [*_keys(reward_id, period), new]
    return bool(script("stock_install")(keys=keys, args=[epoch, units_left, _seconds(forget_at)]))


def look(reward_id: int) -> Gate | None:
    """The gate as it stands; None where there is none, or a closed one."""
    gate = look_many([reward_id]).get(reward_id)
    return gate if gate is not None and gate.is_open else None


def look_many(reward_ids: Sequence[int], *, leases: int = 0) -> dict[int, Gate]:
    """Gates as they stand, closed ones and those that are but leases too; absent ones are left out.

    Up to `leases` live leases of each are told.
    """
    with client().pipeline(transaction=False) as pipe:
        look = piped("stock_look", pipe)
        for reward_id in reward_ids:
            look(keys=[_key(reward_id, part) for part in "gld"], args=[leases])
        answers = pipe.execute() if reward_ids else []
    seen = {each: _gate(answer) for each, answer in zip(reward_ids, answers, strict=True)}
    return {reward_id: gate for reward_id, gate in seen.items() if gate is not None}


def _gate(answer: list[Any]) -> Gate | None:
    now_ms, epoch, avail, state, seq, leases, first, told = answer
    if not epoch and not leases:
        return None
    return Gate(
        epoch=int(epoch or -1),
        units_left=int(avail or 0),
        leases=leases,
        seq=int(seq or 0),
        is_open=state == "open",
        oldest_s=(now_ms + LEASE_MS - float(first)) / 1000 if leases else 0.0,
        live=tuple(_lease(*pair) for pair in zip(told[::2], told[1::2], strict=True)),
    )


def _lease(token: str, detail: str) -> Lease:
    lease, quantity, period, member = detail.split("|", 3)
    return Lease(Ask(int(member), token, int(quantity), lease), period)


def server() -> str:
    """Which server answers: another after a restart, and after a failover."""
    redis: Any = client()
    ran, history = redis.info("server"), redis.info("replication")
    return f"{ran['run_id']}:{history['master_replid']}"


def sample_counts(wanted: Sequence[tuple[int, str]]) -> list[dict[int, int]]:
    """Some members' counts at each (reward, period), drawn at random."""
    with client().pipeline(transaction=False) as pipe:
        for reward_id, period in wanted:
            pipe.hrandfield(_key(reward_id, f"m:{period}"), SAMPLED_AT_ONCE, withvalues=True)
        drawn = pipe.execute() if wanted else []
    return [_counts(each or []) for each in drawn]


def _counts(flat: list[str]) -> dict[int, int]:
    return {int(m): int(n) for m, n in zip(flat[::2], flat[1::2], strict=True)}


def overdue(reward_id: int) -> list[tuple[Ask, str]]:
    """Leases past their end, each with its period: nobody came back to settle or release them."""
    redis: Any = client()
    seconds, micros = redis.time()
    now_ms = seconds * 1000 + micros // 1000
    tokens = redis.zrangebyscore(_key(reward_id, "l"), "-inf", now_ms, start=0, num=REAPED_AT_ONCE)
    details = redis.hmget(_key(reward_id, "d"), tokens) if tokens else []
    found = []
    for token, detail in zip(tokens, details, strict=True):
        if detail is not None:
            lease = _lease(token, detail)
            found.append((lease.ask, lease.period))
    return found
