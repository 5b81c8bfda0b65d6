"""How fast somebody may ask. Redis counts for all processes; without it each counts its share.

What a caller has left is told in the headers of the IETF draft for RateLimit fields.
"""

import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import ip_network

from flask import current_app

from mall.errors import TooMany
from mall.guards.client import RedisError, script

MOST_SUBJECTS = 20_000  # that a process counts without Redis; the oldest go first
LOCAL_TIMES = 2  # the limit that all processes together keep to without Redis
IPV6_PREFIX = 64  # what one customer of a network is given


@dataclass(frozen=True)
class Pace:
    """A burst, and after how long the room of one request comes back."""

    name: str
    burst: int
    every_ms: int

    @property
    def window_s(self) -> int:
        """The seconds in which an empty bucket is full again."""
        return math.ceil(self.burst * self.every_ms / 1000)


@dataclass(frozen=True)
class Left:
    """What a caller has left: requests at once, and the seconds until the bucket is full."""

    pace: Pace
    requests: int
    full_in_s: int


MEMBER = Pace("member", burst=120, every_ms=50)
STAFF = Pace("staff", burst=240, every_ms=25)
LOG_IN = Pace("address", burst=600, every_ms=50)  # a whole mall may share an address
REDEEM = Pace("redeem", burst=20, every_ms=100)
PHONE = Pace("phone", burst=5, every_ms=600_000)  # WeChat charges for each number


def check(subject: str, pace: Pace) -> Left | None:
    """Let a request pass; raises TooMany with the seconds to wait. RATE_LIMITS=off lifts it."""
    if not current_app.config["RATE_LIMITS"]:
        return None
    key = f"pace:{pace.name}:{subject}"
    try:
        wait_ms, used_ms = script("pace_hit")(keys=[key], args=[pace.every_ms, pace.burst])
    except RedisError:
        wait_ms, used_ms = _local.hit(key, pace)
    left = Left(
        pace,
        requests=int((pace.burst * pace.every_ms - used_ms) // pace.every_ms),
        full_in_s=math.ceil(used_ms / 1000),
    )
    if wait_ms:
        raise TooMany(retry_after_s=math.ceil(wait_ms / 1000))
    return left


def of_address(address: str | None) -> str:
    """Whom an address stands for: itself, of IPv6 the network its customer has."""
    text = address or "unknown"
    if ":" not in text:
        return text
    try:
        return str(ip_network(f"{text}/{IPV6_PREFIX}", strict=False))
    except ValueError:
        return text


class _Local:
    """The same counting in this process, for as long as Redis is away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due_ms: OrderedDict[str, float] = OrderedDict()

    def hit(self, key: str, pace: Pace) -> tuple[int, float]:
        """The milliseconds to wait, 0 to pass; and how much of the bucket is used up."""
        burst = max(pace.burst * LOCAL_TIMES // current_app.config["WEB_WORKERS"], 1)
        burst = min(burst, pace.burst)
        every_ms = max(pace.every_ms * current_app.config["WEB_WORKERS"] // LOCAL_TIMES, 1)
        every_ms = max(every_ms, pace.every_ms)
        now_ms = time.monotonic() * 1000
        with self._lock:
            due = max(self._due_ms.get(key, 0.0), now_ms)
            wait = due + every_ms - now_ms - every_ms * burst
            if wait > 0:
                return math.ceil(wait), due - now_ms
            self._due_ms[key] = due + every_ms
            self._due_ms.move_to_end(key)
            while len(self._due_ms) > MOST_SUBJECTS:
                self._due_ms.popitem(last=False)
            return 0, due + every_ms - now_ms

    def forget(self) -> None:
        with self._lock:
            self._due_ms.clear()


_local = _Local()
forget = _local.forget
