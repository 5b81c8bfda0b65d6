"""Who brought a newcomer: told at joining, for life, or never."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import members, touches
from mall.atomic import atomic, read
from mall.errors import NotFound
from mall.events import Referred, record
from mall.idempotency import Answer, Key
from mall.referrals import rules
from mall.referrals.words import invitation
from models import Account, Member, Referral
from models.base import insert

BOUND = "bound"


def invite(
    friend_id: int, invite_code: str | None, visitors: Sequence[str], *, now: datetime
) -> dict[str, Any] | None:
    """Bind a newcomer to who invited them; answers what they are told, None without any invitation.

    A code they bring is their last touch. Else the link they opened last counts, of those within
    the window of the rule in force and of somebody who can invite.
    """
    reason = _bind(friend_id, invite_code, "code", now) if invite_code else None
    if reason == BOUND:
        return invitation(reason)
    since = now - timedelta(days=rules.in_force().attribution_days)
    for code in touches.last(touches.INVITE, visitors, since=since):
        if _bind(friend_id, code, "touch", now) == BOUND:
            return invitation(BOUND)
    return invitation(reason) if reason else None


def bind(friend_id: int, invite_code: str, *, now: datetime) -> bool:
    """Note who brought a newcomer. A code that is nobody's, or one's own, brings nothing."""
    return _bind(friend_id, invite_code, "code", now) == BOUND


def not_bound(member_id: int, invite_code: str) -> dict[str, Any]:
    """What somebody is told who was a member before and brings a code."""
    inviter = members.holder(Member.invite_code == _normal(invite_code))
    if inviter is None:
        return invitation("unknown_code")
    return invitation("own_code" if inviter == member_id else "already_member")


def touch(invite_code: str, visitors: Iterable[str], *, key: Key, now: datetime) -> Answer:
    """Note that a visitor opened a member's link; it counts for some days, as told."""
    code = _normal(invite_code)
    with atomic():
        key.claim(now=now)
        if members.holder(Member.invite_code == code) is None:
            raise NotFound()
        touches.touch(touches.INVITE, code, visitors, now=now)
        days = rules.in_force().attribution_days
        return key.store(200, {"kind": touches.INVITE, "counts_days": days})


def _bind(friend_id: int, invite_code: str, source: str, now: datetime) -> str:
    code = _normal(invite_code)
    inviter_id = members.holder(Member.invite_code == code)
    if inviter_id is None:
        return "unknown_code"
    if inviter_id == friend_id:
        return "own_code"
    query = sa.select(Account.state).where(Account.member_id == inviter_id)
    if [row.state for row in read(query)] == ["closed"]:
        return "inviter_closed"
    row = {"invitee_id": friend_id, "inviter_id": inviter_id, "source": source, "joined_at": now}
    figures = {"state": "joined", "reason": "", "points": 0, "holds": [], "capped": ""}
    version = {"rule_version": rules.in_force().version, "review_note": ""}
    with atomic() as transaction:
        statement = insert(Referral).values(**row, **figures, **version)
        bound = transaction.execute(
            statement.on_conflict_do_nothing().returning(Referral.invitee_id)
        ).scalar()
        if bound is None:
            return "already_member"
        record(Referred(friend_id), now=now)
    return BOUND


def _normal(invite_code: str) -> str:
    return invite_code.strip().upper()
