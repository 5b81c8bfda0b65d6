"""Terms: until when points live that are earned on a day. Pure arithmetic over the shop's days.

`never`; `rolling`, so many days, months or years on, to the end of that day or of its month, quarter
or year; `fixed`, the next of some dates of the year that is at least so many days away; and
`inactivity`, so many days after the member last did something that counts.
"""

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

NEVER, ROLLING, FIXED, INACTIVITY = KINDS = ("never", "rolling", "fixed", "inactivity")
DAY, MONTH, QUARTER, YEAR = "day", "month", "quarter", "year"
UNITS = (DAY, MONTH, YEAR)
ROUNDINGS = (DAY, MONTH, QUARTER, YEAR)
ACTS = ("earn", "spend", "check_in", "purchase")  # a lot keeps which of them count, bit by bit
MONTHS_OF = {DAY: 0, MONTH: 1, QUARTER: 3, YEAR: 12}
MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class Terms:
    """How long points live; what another kind would need is left as it is here."""

    kind: str = ROLLING
    lasts: int = 12
    unit: str = MONTH
    round_up_to: str = DAY
    dates: tuple[str, ...] = ()  # MM-DD
    min_days: int = 1
    days: int = 0
    resets: frozenset[str] = frozenset()

    def last_day(self, earned_on: date) -> date | None:
        """The last day on which points can be spent that were earned on a day; None for ever."""
        if self.kind == NEVER:
            return None
        if self.kind == INACTIVITY:
            return earned_on + timedelta(days=self.days)
        if self.kind == FIXED:
            return _next_date(self.dates, earned_on + timedelta(days=self.min_days))
        return _end_of(_later(earned_on, self.lasts, self.unit), self.round_up_to)

    @property
    def idle_days(self) -> int | None:
        """After how many days of doing nothing points end; None where that is no matter."""
        return self.days if self.kind == INACTIVITY else None

    @property
    def kept_by(self) -> int:
        return bits(self.resets) if self.kind == INACTIVITY else 0


def read(row: Mapping[str, Any]) -> Terms:
    """Terms as a version keeps them."""
    kept = dict(row)
    for name, kind in (("dates", tuple), ("resets", frozenset)):
        if name in kept:
            kept[name] = kind(kept[name])
    return Terms(**kept)


def bits(acts: Iterable[str]) -> int:
    """Acts as one number, so that a statement over many lots can ask for them."""
    return sum(1 << ACTS.index(act) for act in set(acts))


def _later(day: date, count: int, unit: str) -> date:
    """So many units on: the same day of its month, or the month's last where it has no such day."""
    if unit == DAY:
        return day + timedelta(days=count)
    months = day.year * MONTHS_PER_YEAR + day.month - 1 + count * MONTHS_OF[unit]
    year, month = months // MONTHS_PER_YEAR, months % MONTHS_PER_YEAR + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def _end_of(day: date, period: str) -> date:
    """The last day of the day, month, quarter or year that a day is in."""
    if period == DAY:
        return day
    months = MONTHS_OF[period]
    month = (day.month - 1) // months * months + months
    return date(day.year, month, monthrange(day.year, month)[1])


def _next_date(dates: Iterable[str], first: date) -> date:
    """The first of some dates of the year that is not before a day."""
    found = (_in_year(text, year) for year in (first.year, first.year + 1) for text in dates)
    return min(each for each in found if each >= first)


def _in_year(text: str, year: int) -> date:
    """A date MM-DD of a year; 29 February is the 28th where there is none."""
    month, day = (int(part) for part in text.split("-"))
    return date(year, month, min(day, monthrange(year, month)[1]))
