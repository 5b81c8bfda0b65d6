"""Phone numbers: kept sealed, found by a keyed hash, shown by their ends.

A row has the number sealed (AES-256-GCM under the ring's signing key), HMAC-SHA256 of it as it was
given, HMAC-SHA256 of its last eleven digits, which is alike for its spellings, and the last four
digits in the clear, for a clerk who is told them. The hashes are made with the oldest key of the
ring, which a ring that is turned keeps longest; `seal_all` makes them anew before that one goes.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import keys
from mall.atomic import atomic, read
from mall.errors import NotFound
from mall.idempotency import Answer, Key
from models import Member
from models.base import table_of

PURPOSE = "phone number"
LOOK_UP = "phone look-up"
DIGITS = 11  # of a mobile phone in China
TAIL = 4
AT_ONCE = 500
COUNTRY_PREFIXES = ("0086", "86")
COLUMNS = ("phone", "phone_sealed", "phone_hash", "phone_match", "phone_tail")

_table = table_of(Member)


def normal(text: str) -> str:
    """A phone number in its one spelling: digits alone, a Chinese mobile without its country."""
    digits = "".join(each for each in text if each.isdecimal())
    for prefix in COUNTRY_PREFIXES:
        if digits.startswith(prefix) and len(digits) == len(prefix) + DIGITS:
            return digits[len(prefix) :]
    return digits


def spellings(phone: str) -> list[str]:
    """A number in its one spelling, and in those that older rows may have."""
    return [phone, *(f"{prefix}{phone}" for prefix in ("86", "0086", "+86"))]


def mask(phone: str | None) -> str | None:
    """A phone number with only its ends to be seen; of a short one, less."""
    if phone is None:
        return None
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= DIGITS else f"****{phone[-2:]}"


def columns(phone: str | None) -> dict[str, Any]:
    """What a row of Member holds of a number; of none, nothing."""
    if phone is None:
        return dict.fromkeys(COLUMNS)
    return {
        "phone": None,
        "phone_sealed": keys.seal(PURPOSE, phone.encode()),
        "phone_hash": look_up(phone),
        "phone_match": look_up(normal(phone)[-DIGITS:]),
        "phone_tail": phone[-TAIL:],
    }


def look_up(phone: str) -> str:
    """The keyed hash by which a number is found: 64 characters."""
    digest = keys.digest(LOOK_UP, list(keys.ring())[-1], phone.encode())
    assert digest is not None
    return digest.hex()


def of(member: Member | sa.Row[Any] | Mapping[str, Any]) -> str | None:
    """The number of a row of Member; None where it has none or the ring has lost the key."""
    row = member if isinstance(member, Mapping) else _mapping(member)
    if row["phone_sealed"] is None:
        plain: str | None = row["phone"]  # a version before this one wrote it
        return plain
    opened = keys.unseal(PURPOSE, row["phone_sealed"])
    return None if opened is None else opened.decode()


def _mapping(member: Any) -> Mapping[str, Any]:
    if isinstance(member, sa.Row):
        return dict(member._mapping)
    return {name: getattr(member, name) for name in ("phone", "phone_sealed")}


def masked(member: Member | sa.Row[Any]) -> str | None:
    """The ends of a member's number."""
    return mask(of(member))


def show(member_id: int, reason: str, *, key: Key, now: datetime) -> Answer:
    """The whole number of a member, for somebody who says why they need it."""
    with atomic():
        key.claim(now=now)
        query = sa.select(_table.c.phone, _table.c.phone_sealed).where(_table.c.id == member_id)
        found = read(query)
        if not found:
            raise NotFound()
        return key.store(200, {"id": member_id, "phone": of(found[0]), "reason": reason})


def has(member: Member) -> bool:
    return member.phone_sealed is not None or member.phone is not None


def is_any_of(numbers: Iterable[str]) -> sa.ColumnElement[bool]:
    """Whether a row of Member has one of some numbers."""
    numbers = list(numbers)
    hashes = [look_up(number) for number in numbers]
    return sa.or_(_table.c.phone_hash.in_(hashes), _table.c.phone.in_(numbers))


def ending_in(digits: str) -> list[int]:
    """The members whose number ends in four digits or more."""
    tail = sa.select(_table.c.id, _table.c.phone, _table.c.phone_sealed)
    rows = read(tail.where(_table.c.phone_tail == digits[-TAIL:]))
    return [row.id for row in rows if len(digits) == TAIL or (of(row) or "").endswith(digits)]


def seal_all(*, everything: bool = False) -> int:
    """Seal numbers in the clear, or all anew after the ring was turned; answers how many.

    A number that is another member's already stays as it is: somebody has to look at the two.
    """
    due: sa.ColumnElement[bool] = _table.c.phone.is_not(None)
    if everything:
        due = sa.or_(due, _table.c.phone_sealed.is_not(None))
    query = sa.select(_table.c.id, _table.c.phone, _table.c.phone_sealed).where(due)
    done = last = 0
    while rows := read(query.where(_table.c.id > last).order_by(_table.c.id).limit(AT_ONCE)):
        done += sum(_seal(row) for row in rows)
        last = rows[-1].id
    return done


def _seal(row: sa.Row[Any]) -> int:
    """Seal one number, unless it has changed since it was read."""
    number = of(row)
    if number is None:
        return 0
    same = _table.c.phone.is_not_distinct_from(row.phone) & (
        _table.c.phone_sealed.is_not_distinct_from(row.phone_sealed)
    )
    try:
        with atomic() as transaction:
            change = sa.update(_table).where(_table.c.id == row.id, same)
            return int(transaction.execute(change.values(**columns(number))).rowcount)
    except IntegrityError:
        return 0
