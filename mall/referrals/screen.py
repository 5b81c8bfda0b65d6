"""What looks like one person, or like a crowd that is none: such referrals wait for a look.

`self_device`, `self_phone`: inviter and friend are one. `ring`: whoever invited the inviter comes
back as their friend. `device`, `address`, `inviter`: more joins together than the rule allows; then
all of those that are open wait, the first ones too.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall.atomic import atomic
from mall.events import Referred, record_many
from mall.referrals.states import OPEN, Open
from mall.referrals.terms import Terms
from mall.touches import ADDRESS, DEVICE
from models import Member, Referral, Sighting
from models.base import table_of

RING_DEPTH = 5
A_DAY, AN_HOUR = timedelta(days=1), timedelta(hours=1)
CROWDS = (  # reason, how near in time, which number of the rule
    (DEVICE, A_DAY, "device_joins_per_day"),
    (ADDRESS, AN_HOUR, "address_joins_per_hour"),
    ("inviter", AN_HOUR, "inviter_joins_per_hour"),
)
_table = table_of(Referral)

Joins = dict[object, list[tuple[int, datetime]]]  # who joined when, by what they share


def look(
    referrals: Sequence[Open], terms: Mapping[int, Terms], *, now: datetime
) -> dict[int, set[str]]:
    """Why referrals should wait, by friend; their neighbours in a crowd are held with them."""
    fresh = [each for each in referrals if each.reviewed_at is None]
    if not fresh:
        return {}
    found = _same_person(fresh)
    for reason, within, most in CROWDS:
        shared, joins = _joins(fresh, reason, within)
        for referral in fresh:
            near = (referral.joined_at - within, referral.joined_at + within)
            together = {
                member
                for key in shared.get(referral.invitee_id, ())
                for member, at in joins.get(key, ())
                if near[0] <= at <= near[1]
            }
            if len(together) > getattr(terms[referral.rule_version].holds, most):
                found[referral.invitee_id].add(reason)
                _hold_others(together - {referral.invitee_id}, reason, now)
    return found


def _same_person(referrals: Sequence[Open]) -> dict[int, set[str]]:
    elders = _elders({each.inviter_id for each in referrals})
    everybody = {each.invitee_id for each in referrals} | set(elders)
    everybody |= {elder for line in elders.values() for elder in line}
    devices, phones = _devices(everybody), _phones(everybody)
    found: dict[int, set[str]] = {}
    for referral in referrals:
        friend, inviter = referral.invitee_id, referral.inviter_id
        reasons = found.setdefault(friend, set())
        mine, phone = devices.get(friend, set()), phones.get(friend)
        if mine & devices.get(inviter, set()):
            reasons.add("self_device")
        if phone and phone == phones.get(inviter):
            reasons.add("self_phone")
        for elder in elders[inviter]:
            same_phone = phone and phone == phones.get(elder)
            if elder == friend or mine & devices.get(elder, set()) or same_phone:
                reasons.add("ring")
    return found


def _devices(member_ids: Collection[int]) -> dict[int, set[str]]:
    query = sa.select(Sighting.member_id, Sighting.mark).where(
        Sighting.member_id.in_(sorted(member_ids)), Sighting.kind == DEVICE
    )
    found: dict[int, set[str]] = {}
    with atomic() as transaction:
        for row in transaction.execute(query):
            found.setdefault(row.member_id, set()).add(row.mark)
    return found


def _phones(member_ids: Collection[int]) -> dict[int, str]:
    """What phone numbers hash to, alike for all spellings of one."""
    query = sa.select(Member.id, Member.phone_match).where(
        Member.id.in_(sorted(member_ids)), Member.phone_match.is_not(None)
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
    return {row.id: row.phone_match for row in rows}


def _elders(member_ids: Collection[int]) -> dict[int, list[int]]:
    """Who invited each of some, who invited those, and so on, so far up."""
    lines: dict[int, list[int]] = {member: [] for member in member_ids}
    above: dict[int, int] = {}
    asked = set(member_ids)
    for _ in range(RING_DEPTH):
        query = sa.select(Referral.invitee_id, Referral.inviter_id).where(
            Referral.invitee_id.in_(sorted(asked))
        )
        with atomic() as transaction:
            found = {row.invitee_id: row.inviter_id for row in transaction.execute(query)}
        above |= found
        asked = set(found.values()) - set(above)
        if not asked:
            break
    for member, line in lines.items():
        while len(line) < RING_DEPTH and (member := above.get(member, 0)):
            line.append(member)
    return lines


def _joins(
    referrals: Sequence[Open], reason: str, within: timedelta
) -> tuple[dict[int, set[object]], Joins]:
    """What each friend shares, and who joined with the same about then, invited or not."""
    moments = [each.joined_at for each in referrals]
    about = (min(moments) - within, max(moments) + within)
    if reason == "inviter":
        shared: dict[int, set[object]] = {r.invitee_id: {r.inviter_id} for r in referrals}
        inviters = sorted({each.inviter_id for each in referrals})
        columns = (
            Referral.inviter_id.label("shared"),
            Referral.invitee_id.label("member_id"),
            Referral.joined_at.label("at"),
        )
        theirs = sa.select(*columns).where(
            Referral.inviter_id.in_(inviters), Referral.joined_at.between(*about)
        )
        return shared, _grouped(theirs)
    seen = (Sighting.kind == reason, Sighting.at_joining)
    own = sa.select(Sighting.member_id, Sighting.mark).where(
        Sighting.member_id.in_([each.invitee_id for each in referrals]), *seen
    )
    shared = {}
    with atomic() as transaction:
        for row in transaction.execute(own):
            shared.setdefault(row.member_id, set()).add(row.mark)
    marks = {mark for each in shared.values() for mark in each}
    seen_at = (Sighting.mark.label("shared"), Sighting.member_id, Sighting.first_at.label("at"))
    query = sa.select(*seen_at).where(
        Sighting.mark.in_(marks), Sighting.first_at.between(*about), *seen
    )
    return shared, _grouped(query) if marks else {}


def _grouped(query: sa.Executable) -> Joins:
    found: Joins = {}
    with atomic() as transaction:
        for row in transaction.execute(query):
            found.setdefault(row.shared, []).append((row.member_id, row.at))
    return found


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
