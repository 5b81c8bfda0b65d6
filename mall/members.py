"""Members: join, profile, the numbers and codes on the card."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import phones
from mall.atomic import atomic, read
from mall.errors import NotFound, PhoneTaken
from mall.events import Joined, record_many
from models import Account, Member, Merge, db
from models.base import insert

CARD_PREFIX = "88"
CARD_DIGITS = 12
PROFILE_FIELDS = ("nickname", "gender", "birthday", "phone", "city")  # what can count as complete
INVITE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # no 0 O 1 I L: read aloud and typed
INVITE_LENGTH = 8
JOIN_TRIES = 5


def luhn(digits: str) -> int:
    """The check digit of a card number (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return -total % 10


def _new_card_no() -> str:
    body = CARD_PREFIX + "".join(
        secrets.choice("0123456789") for _ in range(CARD_DIGITS - len(CARD_PREFIX) - 1)
    )
    return body + str(luhn(body))


def _new_invite_code() -> str:
    return "".join(secrets.choice(INVITE_ALPHABET) for _ in range(INVITE_LENGTH))


def looks_like_card_no(text: str) -> bool:
    return len(text) == CARD_DIGITS and text.isdecimal() and text.isascii()


def join_many(people: Sequence[dict[str, Any]], *, tier_code: str, now: datetime) -> dict[Any, int]:
    """Make members, each with an account; who is a member already is left out.

    `people` holds columns of Member, all with the same keys. Answers the newcomers' ids by what
    names them: (appid, openid), or external_id where WeChat does not know them.
    """
    joined: dict[Any, int] = {}
    waiting = {name_of(person): person for person in people}
    for _ in range(JOIN_TRIES):  # a card number drawn may be taken: draw again
        if not waiting:
            break
        newcomers = _add_members([{**_blank(now), **person} for person in waiting.values()])
        joined |= newcomers
        known = _known(waiting.values())
        waiting = {name: each for name, each in waiting.items() if name not in known}
    _open_accounts(list(joined.values()), tier_code, now)
    return joined


def name_of(person: dict[str, Any]) -> Any:
    """What names a person once: WeChat's identity, else the shop's own."""
    if person.get("openid"):
        return person["appid"], person["openid"]
    return person["external_id"]


def _add_members(rows: list[dict[str, Any]]) -> dict[Any, int]:
    columns = (Member.id, Member.appid, Member.openid, Member.external_id)
    with atomic() as transaction:
        added = transaction.execute(
            insert(Member).on_conflict_do_nothing().returning(*columns), rows
        )
        return {name_of(row._asdict()): row.id for row in added}


def _known(people: Iterable[dict[str, Any]]) -> set[Any]:
    """Those of some people who are members."""
    people = list(people)
    openids = [person["openid"] for person in people if person.get("openid")]
    external = [person["external_id"] for person in people if not person.get("openid")]
    query = sa.select(Member.appid, Member.openid, Member.external_id).where(
        sa.or_(Member.openid.in_(openids), Member.external_id.in_(external))
    )
    with atomic() as transaction:
        found = transaction.execute(query).all()
    return {(row.appid, row.openid) for row in found} | {row.external_id for row in found}


def _open_accounts(member_ids: list[int], tier_code: str, now: datetime) -> None:
    if not member_ids:
        return
    blank = {
        "balance_points": 0,
        "pending_points": 0,
        "held_points": 0,
        "debt_points": 0,
        "entries": 0,
        "growth_value": 0,
    }
    rows = [
        {"member_id": id_, **blank, "tier_code": tier_code, "state": "open"} for id_ in member_ids
    ]
    with atomic() as transaction:
        transaction.execute(insert(Account), rows)
        record_many([Joined(member_id) for member_id in member_ids], now=now)


def _blank(now: datetime) -> dict[str, Any]:
    return {
        "card_no": _new_card_no(),
        "invite_code": _new_invite_code(),
        "nickname": "",
        "gender": "unknown",
        "city": "",
        "joined_at": now,
    }


def held_by() -> sa.ColumnElement[int]:
    """Who holds now what a row of Member has: that member, or whom it was merged into.

    For queries of Member that are joined to Merge by `merged`.
    """
    return sa.func.coalesce(Merge.holder_id, Member.id)


def merged() -> sa.ColumnElement[bool]:
    return Merge.from_member_id == Member.id


def holder(*which: sa.ColumnElement[bool]) -> int | None:
    """The member a number, code or identity leads to, also if its own member was merged."""
    query = sa.select(held_by()).select_from(Member).outerjoin(Merge, merged()).where(*which)
    return next((row[0] for row in read(query)), None)


def id_of(*, appid: str, openid: str) -> int | None:
    return holder(Member.appid == appid, Member.openid == openid)


def find(member_id: int) -> Member:
    member = db.session.get(Member, member_id)
    if member is None:
        raise NotFound()
    return member


def mask_nickname(nickname: str) -> str:
    """A friend's name as others may see it: its first character."""
    return f"{nickname[0]}**" if nickname else "**"


def bind_phone(member_id: int, phone: str) -> None:
    """Give a member a phone number that somebody vouched for; nobody else may have it."""
    with atomic() as transaction:
        taken = transaction.execute(
            sa.select(Member.id).where(phones.is_any_of([phone]), Member.id != member_id)
        ).first()
        if taken is not None:
            raise PhoneTaken()
        try:
            transaction.execute(
                sa.update(Member).where(Member.id == member_id).values(**phones.columns(phone))
            )
        except IntegrityError:  # another took it between the look and the change
            raise PhoneTaken() from None
