"""What looks like one person, or like a crowd that is none: such referrals wait for a look.

`self_device`, `self_phone`: inviter and friend are one. `ring`: whoever invited the inviter comes
back as their friend. `device`, `address`, `inviter`: more joins together than the rule allows; then
all of those that are open wait, the first ones too.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import members
from mall.atomic import atomic
from mall.events import Referred, record_many
from mall.referrals.states import OPEN, Open
from mall.referrals.terms import Holds
from mall.touches import ADDRESS, DEVICE
from models import Member, Referral, Sighting
from models.base import table_of

RING_DEPTH = 5
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
_table = table_of(Referral)


def look(referral: Open, holds: Holds, *, now: datetime) -> set[str]:
    """Why a referral should wait, if it should; its neighbours in a crowd are held with it."""
    if referral.reviewed_at is not None:
        return set()
    return _same_person(referral) | _crowds(referral, holds, now)


def _same_person(referral: Open) -> set[str]:
    friend, inviter = referral.invitee_id, referral.inviter_id
    devices, found = _devices(friend), set()
    if devices & _devices(inviter):
        found.add("self_device")
    phone = _phone(friend)
    if phone and phone == _phone(inviter):
        found.add("self_phone")
    for elder in _elders(inviter):
        if elder == friend or devices & _devices(elder) or (phone and phone == _phone(elder)):
            found.add("ring")
    return found


def _devices(member_id: int) -> set[str]:
    query = sa.select(Sighting.mark).where(Sighting.member_id == member_id, Sighting.kind == DEVICE)
    with atomic() as transaction:
        return set(transaction.execute(query).scalars())


def _phone(member_id: int) -> str | None:
    """A phone number in its one spelling: older rows have others."""
    with atomic() as transaction:
        query = sa.select(Member.phone).where(Member.id == member_id)
        phone = transaction.execute(query).scalar()
    return members.normal_phone(phone) if phone else None


def _elders(member_id: int) -> Iterable[int]:
    """Who invited somebody, and who invited those, so far up."""
    for _ in range(RING_DEPTH):
        with atomic() as transaction:
            query = sa.select(Referral.inviter_id).where(Referral.invitee_id == member_id)
            found = transaction.execute(query).scalar()
        if found is None:
            return
        member_id = int(found)
        yield member_id


def _crowds(referral: Open, holds: Holds, now: datetime) -> set[str]:
    found = set()
    for reason, joined, most in (
        ("device", _from(referral, DEVICE, A_DAY), holds.device_joins_per_day),
        ("address", _from(referral, ADDRESS, AN_HOUR), holds.address_joins_per_hour),
        ("inviter", _by_inviter(referral), holds.inviter_joins_per_hour),
    ):
        together = _ids(joined)
        if len(together) > most:
            found.add(reason)
            _hold_others(together - {referral.invitee_id}, reason, now)
    return found


def _from(referral: Open, kind: str, within: timedelta) -> sa.Select[Any]:
    """Who joined from where this friend did, about when they did; invited or not."""
    own = sa.select(Sighting.mark).where(
        Sighting.member_id == referral.invitee_id, Sighting.kind == kind, Sighting.at_joining
    )
    return sa.select(Sighting.member_id).where(
        Sighting.mark.in_(own),
        Sighting.kind == kind,
        Sighting.at_joining,
        Sighting.first_at.between(referral.joined_at - within, referral.joined_at + within),
    )


def _by_inviter(referral: Open) -> sa.Select[Any]:
    near = referral.joined_at - AN_HOUR, referral.joined_at + AN_HOUR
    return sa.select(Referral.invitee_id).where(
        Referral.inviter_id == referral.inviter_id, Referral.joined_at.between(*near)
    )


def _ids(query: sa.Select[Any]) -> set[int]:
    with atomic() as transaction:
        return set(transaction.execute(query).scalars())


def _hold_others(friend_ids: set[int], reason: str, now: datetime) -> None:
    """Mark those of a crowd that nobody has looked at; each is told of as a fact of its own, by
    which what it was promised is withdrawn under its own accounts' locks."""
    with atomic() as transaction:
        held = transaction.execute(
            sa.update(_table)
            .where(
                _table.c.invitee_id.in_(sorted(friend_ids)),
                _table.c.state.in_(OPEN),
                _table.c.held_at.is_(None),
            )
            .values(held_at=now, holds=[reason])
            .returning(_table.c.invitee_id)
        ).scalars()
        record_many([Referred(friend_id) for friend_id in sorted(held)], now=now)
