"""How fast somebody may ask. Redis counts; without it everybody passes."""

from dataclasses import dataclass

from flask import current_app

from mall.errors import TooMany
from mall.guards.client import RedisError, script


@dataclass(frozen=True)
class Pace:
    """A burst, and how many a second come back after it."""

    burst: int
    per_s: int


MEMBER = Pace(burst=120, per_s=20)
STAFF = Pace(burst=240, per_s=40)
LOG_IN = Pace(burst=600, per_s=20)  # an address: a whole mall may share one


def check(subject: str, pace: Pace) -> None:
    """Let a request pass; raises TooMany with the seconds to wait. RATE_LIMITS=off lifts it."""
    if not current_app.config["RATE_LIMITS"]:
        return
    try:
        wait_ms = script("pace_hit")(
            keys=[f"pace:{subject}"], args=[1000 // pace.per_s, pace.burst]
        )
    except RedisError:
        return
    if wait_ms:
        raise TooMany(retry_after_s=-(-wait_ms // 1000))
