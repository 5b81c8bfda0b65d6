"""Profiles: what members say of themselves, how complete it is, and who changed what."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, phones, shop
from mall.atomic import atomic
from mall.errors import BirthdayFixed, NotFound
from mall.events import ProfileChanged, record
from models import Member, ProfileChange, db
from models.base import insert

BLANK = (None, "", "unknown")


def view(member: Member) -> dict[str, Any]:
    """The profile as its owner sees it."""
    return {
        "id": member.id,
        "card_no": member.card_no,
        "nickname": member.nickname,
        "gender": member.gender,
        "birthday": member.birthday.isoformat() if member.birthday else None,
        "phone_masked": phones.masked(member),
        "city": member.city,
        "joined_at": clock.rfc3339(member.joined_at),
        "completeness_percent": completeness_percent(member),
    }


def completeness_percent(member: Member) -> int:
    """How much of what the shop asks for is filled in; all of it where it asks for nothing."""
    asked: list[str] = shop.setting("profile_fields")
    filled = sum(_is_filled(member, name) for name in asked)
    return filled * 100 // len(asked) if asked else 100


def _is_filled(member: Member, name: str) -> bool:
    return phones.has(member) if name == "phone" else getattr(member, name) not in BLANK


def change(member_id: int, changes: Mapping[str, Any], *, now: datetime) -> Member:
    """Change what a member may change of their own; a birthday is set once."""
    with atomic():
        member = _locked(member_id)
        birthday: date | None = changes.get("birthday", member.birthday)
        if member.birthday is not None and birthday != member.birthday:
            raise BirthdayFixed()
        _write(member, changes, actor=f"member:{member_id}", reason="", now=now)
    return member


def correct(
    member_id: int, changes: Mapping[str, Any], reason: str, *, staff_id: int, now: datetime
) -> Member:
    """Change a member's profile for a reason, also a birthday that was set."""
    with atomic():
        member = _locked(member_id)
        _write(member, changes, actor=f"staff:{staff_id}", reason=reason, now=now)
    return member


def _locked(member_id: int) -> Member:
    member = db.session.get(Member, member_id, with_for_update=True, populate_existing=True)
    if member is None:
        raise NotFound()
    return member


def _write(
    member: Member, changes: Mapping[str, Any], *, actor: str, reason: str, now: datetime
) -> None:
    """Change fields and remember each with what it was; what is the same already is no change."""
    rows = [
        {
            "member_id": member.id,
            "field": name,
            "before": _said(getattr(member, name)),
            "after": _said(value),
            "reason": reason,
            "actor": actor,
            "changed_at": now,
        }
        for name, value in changes.items()
        if getattr(member, name) != value
    ]
    if not rows:
        return
    for name, value in changes.items():
        setattr(member, name, value)
    db.session.flush()
    with atomic() as transaction:
        transaction.execute(insert(ProfileChange), rows)
    record(ProfileChanged(member.id, completeness_percent(member)), now=now)


def _said(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value or "")


def seen(change: ProfileChange) -> dict[str, Any]:
    """A change as shown."""
    names = ("id", "field", "before", "after", "reason", "actor")
    shown = {name: getattr(change, name) for name in names}
    return {**shown, "changed_at": clock.rfc3339(change.changed_at)}


def changes_of(member_id: int) -> sa.Select[Any]:
    """What was changed of a profile."""
    return sa.select(ProfileChange).where(ProfileChange.member_id == member_id)
