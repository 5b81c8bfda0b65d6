"""The year of a member's check-ins, a bit a day: answers "already today" and the calendar.

Bit 0 is always 1 and says that the year is loaded; day N of the year is bit N. It is written after
COMMIT only and rebuilt from SQL whenever bit 0 is missing, so a lost bit costs one query and a
stray one denies nothing: whoever finds today's bit set still reads the row.
"""

from collections.abc import Collection, Iterable
from datetime import date

from redis.client import NEVER_DECODE

from mall.guards.client import client, script

KEPT_S = 400 * 86_400


def _key(member_id: int, year: int) -> str:
    return f"{{m:{member_id}}}:ci:{year}"


def _bit(day: date) -> int:
    return day.timetuple().tm_yday


def marked(member_id: int, day: date) -> bool:
    """Whether the day's bit is set. True is a hint to read the row, False lets SQL decide."""
    return bool(client().getbit(_key(member_id, day.year), _bit(day)))


def mark(member_id: int, day: date) -> None:
    """Set a day's bit in a year that is loaded; a year that is not stays unloaded."""
    script("streak_mark")(keys=[_key(member_id, day.year)], args=[_bit(day), KEPT_S])


def days_of(member_id: int, year: int) -> list[date] | None:
    """The days of a loaded year; None where SQL must be asked: not loaded, or a day no year has."""
    raw = client().execute_command(  # type: ignore[no-untyped-call]
        "GET", _key(member_id, year), **{NEVER_DECODE: []}
    )
    if raw is None:
        return None
    bits = _bits(raw)
    if 0 not in bits or max(bits) > _bit(date(year, 12, 31)):
        return None
    return [date.fromordinal(date(year, 1, 1).toordinal() + bit - 1) for bit in sorted(bits - {0})]


def _bits(raw: bytes) -> set[int]:
    return {
        index * 8 + offset
        for index, byte in enumerate(raw)
        for offset in range(8)
        if byte & (128 >> offset)
    }


def load(member_id: int, year: int, days: Iterable[date]) -> None:
    """Rebuild a year from SQL's days, the marker last."""
    key = _key(member_id, year)
    with client().pipeline(transaction=True) as pipe:
        pipe.delete(key)
        for day in days:
            pipe.setbit(key, _bit(day), 1)
        pipe.setbit(key, 0, 1)
        pipe.expire(key, KEPT_S)
        pipe.execute()


def forget(member_ids: Collection[int], years: Iterable[int]) -> None:
    """Let the years of some members be loaded anew from SQL."""
    keys = [_key(member_id, year) for year in years for member_id in member_ids]
    if keys:
        with client().pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.unlink(key)
            pipe.execute()
