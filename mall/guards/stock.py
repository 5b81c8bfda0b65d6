"""The gate before a reward: turns the crowd away cheaply, and never decides who got it.

Protocol: docs/redemption.md. All keys of a reward share one hash tag, so one Redis slot; a lease
is a reservation that ends by itself when whoever took it never comes back.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mall.guards.client import client, script

LEASE_MS = 30_000
ADOPT_MS = 2_000
RETURN_REMEMBERED_S = 7 * 86_400
COUNTS_AT_ONCE = 5_000
REAPED_AT_ONCE = 500
BUILDER_LOCK_MS = 5_000


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
    """One request for units. `token` names it for ever, `lease` this attempt at it."""

    member_id: int
    token: str
    quantity: int
    lease: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True)
class Gate:
    """What the gate says of itself."""

    epoch: int
    units_left: int
    leases: int


def _key(reward_id: int, part: str) -> str:
    return f"{{rw:{reward_id}}}:{part}"


def _keys(reward_id: int, period: str) -> list[str]:
    return [_key(reward_id, part) for part in ("g", f"m:{period}", "l", "d")]


def reserve_many(
    reward_id: int, asks: Sequence[Ask], *, epoch: int, limit: int | None, period: str
) -> list[Verdict]:
    """Reserve units for each request or turn it away; raises NoGate, or RedisError when it is down."""
    items = [part for ask in asks for part in (ask.member_id, ask.token, ask.lease, ask.quantity)]
    answer = script("stock_reserve")(
        keys=_keys(reward_id, period),
        args=[epoch, LEASE_MS, limit or 0, period, ADOPT_MS, *items],
    )
    if answer[0] < 0:
        raise NoGate()
    return [Verdict(code) for code in answer[1:]]


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


def put_back(reward_id: int, *, member_id: int, quantity: int, period: str, operation: str) -> None:
    """Put back a cancelled redemption's units; told twice, it counts once."""
    keys = _keys(reward_id, period)[:2] + [_key(reward_id, f"o:{operation}")]
    script("stock_return")(keys=keys, args=[quantity, member_id, RETURN_REMEMBERED_S])


def builder(reward_id: int) -> bool:
    """Whether the caller is the one to rebuild this gate now."""
    lock = _key(reward_id, "b")
    return bool(client().set(lock, "1", nx=True, px=BUILDER_LOCK_MS))


def builder_done(reward_id: int) -> None:
    client().delete(_key(reward_id, "b"))


def install(
    reward_id: int, *, epoch: int, units_left: int, period: str, counts: Sequence[tuple[int, int]]
) -> bool:
    """Open a gate with SQL's numbers; False where a gate as new is there already."""
    new = _key(reward_id, f"m:{period}:{epoch}")
    for start in range(0, len(counts), COUNTS_AT_ONCE):
        part = counts[start : start + COUNTS_AT_ONCE]
        client().hset(new, mapping={str(member): quantity for member, quantity in part})
    keys = [*_keys(reward_id, period), new]
    return bool(script("stock_install")(keys=keys, args=[epoch, units_left]))


def look(reward_id: int) -> Gate | None:
    """The gate as it stands; None where there is none."""
    with client().pipeline(transaction=True) as pipe:
        pipe.hmget(_key(reward_id, "g"), ["epoch", "avail", "state"])
        pipe.zcard(_key(reward_id, "l"))
        (epoch, avail, state), leases = pipe.execute()
    if epoch is None or state != "open":
        return None
    return Gate(epoch=int(epoch), units_left=int(avail), leases=leases)


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
            lease, quantity, period, member = detail.split("|", 3)
            found.append((Ask(int(member), token, int(quantity), lease), period))
    return found
