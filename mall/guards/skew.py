"""How far other clocks are from the database's, by which the shop goes."""

import math

from mall import clock
from mall.guards.client import RedisError, client

OF_REDIS = "Redis"


def redis_skew_ms() -> float:
    """How far Redis' clock is ahead of the database's; not a number where Redis does not answer."""
    before = clock.database_s()
    try:
        seconds, microseconds = client().time()  # type: ignore[misc]
    except RedisError:
        return math.nan
    middle = (before + clock.database_s()) / 2
    return float(seconds + microseconds / 1_000_000 - middle) * 1000


def watch() -> int:
    """Warn where a clock is too far off; answers how many are."""
    of_redis = redis_skew_ms()
    far = clock.warn_of_skew(OF_REDIS, of_redis)
    return int(far) + int(abs(clock.skew_ms()) > clock.SKEW_WARNED_MS)
