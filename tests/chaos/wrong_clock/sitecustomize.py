"""Shifts a Python's wall clock by WRONG_CLOCK_S; the monotonic clock stays, as on a real machine.

Python reads this file at its start where the folder is on PYTHONPATH. (libfaketime, which shifts any
program, lets Python's sleep wait for the shift.)
"""

import datetime
import os
import time

SHIFT_S = float(os.environ.get("WRONG_CLOCK_S", "0"))
_time = time.time


def _shifted() -> float:
    return _time() + SHIFT_S


class WrongDatetime(datetime.datetime):
    """Whose now is wrong."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return _right.fromtimestamp(_shifted(), tz)

    @classmethod
    def utcnow(cls) -> datetime.datetime:
        return _right.fromtimestamp(_shifted(), datetime.UTC).replace(tzinfo=None)


class WrongDate(datetime.date):
    @classmethod
    def today(cls) -> datetime.date:
        return _right.fromtimestamp(_shifted()).date()


if SHIFT_S:
    _right = datetime.datetime
    time.time = _shifted
    datetime.datetime = WrongDatetime  # type: ignore[misc]
    datetime.date = WrongDate  # type: ignore[misc]
