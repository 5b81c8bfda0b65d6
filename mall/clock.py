"""The one place that reads the time.

`now()` follows the database's clock: monotonic time plus the offset to it, measured anew every
ten seconds, so that a wrong clock on one machine changes no day, expiry or streak. SQLite has no
clock of its own; there it is the machine's. Nobody else reads the machine's clock: it is looked at
only to warn where it is far from the database's.
"""

import logging
import threading
import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import current_app

from models.base import db

log = logging.getLogger(__name__)

RESYNC_S = 10.0
SKEW_WARNED_MS = 500
WARNED_EVERY_S = 60.0


class _Offset:
    """Seconds between time.monotonic() and the database's clock; shared by a process's threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seconds = 0.0
        self.skew_ms = 0.0
        self.measured_at: float | None = None

    def current(self) -> float:
        """The offset; measured by one thread while others use the last, but for the very first."""
        if self._is_stale() and self.lock.acquire(blocking=self.measured_at is None):
            try:
                if self._is_stale():
                    self._measure()
            finally:
                self.lock.release()
        return self.seconds

    def _is_stale(self) -> bool:
        return self.measured_at is None or time.monotonic() - self.measured_at > RESYNC_S

    def _measure(self) -> None:
        started = time.monotonic()
        database_s = _database_time_s()
        ended = time.monotonic()
        self.seconds = database_s - (started + ended) / 2
        self.skew_ms = (time.time() - ended - self.seconds) * 1000
        self.measured_at = ended
        warn_of_skew("this machine", self.skew_ms)


_offsets: dict[str, _Offset] = {}
_warned_at: dict[str, float] = {}


def _database_time_s() -> float:
    """Seconds since 1970 by the database's clock."""
    if db.engine.dialect.name != "postgresql":
        return time.time()
    with db.engine.connect() as connection:
        autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
        return float(autocommit.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")))


def _offset() -> _Offset:
    return _offsets.setdefault(str(db.engine.url), _Offset())


def now() -> datetime:
    """The moment it is, in UTC; moved by CLOCK_OFFSET_S where the sandbox allows it."""
    offset_s = _offset().current()  # may take its time, so first
    shifted_s: int = current_app.config["CLOCK_OFFSET_S"]
    return datetime.fromtimestamp(time.monotonic() + offset_s + shifted_s, UTC)


def database_s() -> float:
    """Seconds since 1970 by the database's clock, which nothing moves."""
    offset_s = _offset().current()
    return time.monotonic() + offset_s


def skew_ms() -> float:
    """How far this machine's clock is ahead of the database's, as last measured."""
    offset = _offset()
    offset.current()
    return offset.skew_ms


def warn_of_skew(whose: str, ahead_ms: float) -> bool:
    """Log a clock that is too far from the database's, once a minute at most; True where it is."""
    far = abs(ahead_ms) > SKEW_WARNED_MS
    ticks = time.monotonic()
    if far and ticks - _warned_at.get(whose, -WARNED_EVERY_S) >= WARNED_EVERY_S:
        _warned_at[whose] = ticks
        log.warning("the clock of %s is %.0f ms ahead of the database's", whose, ahead_ms)
    return far


def zone() -> ZoneInfo:
    """The shop's time zone."""
    return ZoneInfo(current_app.config["SHOP_TIMEZONE"])


def business_day(moment: datetime) -> date:
    """The shop's day that a moment falls on."""
    return moment.astimezone(zone()).date()


def start_of_day(day: date) -> datetime:
    """The first moment of a day in the shop."""
    return datetime.combine(day, datetime.min.time(), zone())


def end_of_day(day: date) -> datetime:
    """The first moment that is no longer `day` in the shop."""
    return start_of_day(day + timedelta(days=1))


def end_of_month_after(moment: datetime, months: int) -> datetime:
    """The end of the shop's month that lies `months` months after a moment's own."""
    day = business_day(moment)
    ends = day.year * 12 + (day.month - 1) + months + 1
    return datetime(ends // 12, ends % 12 + 1, 1, tzinfo=zone())


def rfc3339(moment: datetime) -> str:
    """A moment as the contract writes it: in the shop's zone, with its offset, to the second."""
    return moment.astimezone(zone()).isoformat(timespec="seconds")


def last_day_before(end: datetime) -> date:
    """The last shop's day that lies wholly before an end, for "valid to"."""
    return business_day(end - timedelta(microseconds=1))
