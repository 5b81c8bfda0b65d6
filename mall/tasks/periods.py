"""Periods of tasks, in the shop's days: when one begins, when it ends, what it is called."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from mall import clock
from mall.tasks.rules import Version

ONCE = "once"
EACH = "each"  # everything that counts is a period of its own, by its own name
ONE_DAY, ONE_WEEK = timedelta(days=1), timedelta(days=7)
LONGEST_MONTH = timedelta(days=31)


@dataclass(frozen=True)
class Span:
    """A time from its first moment to the first that is no longer in it; open where that is None."""

    opens_at: datetime
    closes_at: datetime | None

    def holds(self, moment: datetime) -> bool:
        return self.opens_at <= moment and not self.is_over(moment)

    def is_over(self, moment: datetime) -> bool:
        return self.closes_at is not None and moment >= self.closes_at


def key_of(version: Version, day: date, deed: str = "") -> str:
    """The name of the period that a day falls in, or of the deed's own."""
    if version.period == EACH:
        return deed
    if version.period == "daily":
        return day.isoformat()
    if version.period == "weekly":
        return f"{day:%G-W%V}"
    if version.period == "monthly":
        return f"{day:%Y-%m}"
    if version.period == "window":
        assert version.starts_on is not None
        return version.starts_on.isoformat()  # another window of the task begins anew
    return ONCE


def is_of(version: Version, period: str) -> bool:
    """Whether a version has a period of that name; each window is another."""
    return version.period != "window" or str(version.starts_on) == period


def first_day(period: str, key: str) -> date | None:
    """The first day of a period by its name; None where it has none of its own."""
    if period in ("daily", "window"):
        return date.fromisoformat(key)
    if period == "weekly":
        year, week = key.split("-W")
        return date.fromisocalendar(int(year), int(week), 1)
    return date.fromisoformat(f"{key}-01") if period == "monthly" else None


def _end(period: str, first: date | None) -> datetime | None:
    if first is None or period == "window":
        return None  # the version's own last day ends a window
    if period == "monthly":
        return clock.start_of_day((first + LONGEST_MONTH).replace(day=1))
    return clock.start_of_day(first + (ONE_WEEK if period == "weekly" else ONE_DAY))


def span_of(version: Version, key: str, joined_at: datetime) -> Span:
    """When a member can do a task in one of its periods.

    Without a first day of its own a task begins with the day on which it was published. A newcomer's
    ends so many days after joining, the day of joining being the first.
    """
    begins_on = version.starts_on or clock.business_day(version.published_at)
    first = first_day(version.period, key)
    opens = clock.start_of_day(max(begins_on, first) if first else begins_on)
    ends = [_end(version.period, first)]
    if version.ends_on:
        ends.append(clock.end_of_day(version.ends_on))
    if version.new_member_days is not None:
        last = clock.business_day(joined_at) + timedelta(days=version.new_member_days)
        ends.append(clock.start_of_day(last))
    return Span(opens, min((each for each in ends if each is not None), default=None))


def end_of(version: Version, key: str) -> datetime | None:
    """When a period of the calendar or of a window is over for everybody."""
    end = _end(version.period, first_day(version.period, key))
    if end is None and version.ends_on:
        return clock.end_of_day(version.ends_on)
    return end


def before(version: Version, key: str) -> str | None:
    """The name of the period before one; None where there is none."""
    first = first_day(version.period, key)
    if first is None or version.period == "window":
        return None
    return key_of(version, first - ONE_DAY)
