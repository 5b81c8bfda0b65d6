"""Referrals of two: one referrer for life, nobody is their own friend."""

from typing import Any

import sqlalchemy as sa

from mall import points, touches
from mall.atomic import atomic
from models import Member, PendingGrant, Referral, ReferralStep
from models.base import table_of

OPEN = ("joined", "qualified")
REASON = "merged"
REFS = ("referral", "referral_join")


def inviters_of(*member_ids: int) -> set[int]:
    """Whose promises a merge may end; their accounts are locked with the others."""
    query = sa.select(Referral.inviter_id).where(Referral.invitee_id.in_(member_ids))
    with atomic() as transaction:
        return set(transaction.execute(query).scalars())


def join_friends(from_id: int, into_id: int) -> None:
    """Who was brought by whom, when two friends turn out to be one person.

    A referrer goes along only to somebody who has none and was no member before; an open referral
    that can't go along is refused, with what it promised. Friends brought stay friends, but for
    the other one of the two.
    """
    table = table_of(Referral)
    between = sa.or_(
        (table.c.invitee_id == into_id) & (table.c.inviter_id == from_id),
        (table.c.invitee_id == from_id) & (table.c.inviter_id == into_id),
    )
    _refuse(between)
    own, theirs = _of(from_id), _of(into_id)
    if own is not None and own.inviter_id != into_id:
        if theirs is None and _joined_first(own, into_id):
            _go_along(from_id, into_id)
        else:
            _refuse(table.c.invitee_id == from_id)
    with atomic() as transaction:
        transaction.execute(
            sa.update(table)
            .where(table.c.inviter_id == from_id, table.c.invitee_id != into_id)
            .values(inviter_id=into_id)
        )
    _join_steps(from_id, into_id)
    touches.change_hands(from_id, into_id)


def _join_steps(from_id: int, into_id: int) -> None:
    """What one was given of the ladder is not given to both again."""
    table, same = table_of(ReferralStep), table_of(ReferralStep).alias()
    there = sa.select(same.c.friends).where(same.c.inviter_id == into_id)
    with atomic() as transaction:
        transaction.execute(
            sa.update(table)
            .where(table.c.inviter_id == from_id, table.c.friends.not_in(there))
            .values(inviter_id=into_id)
        )


def _of(invitee_id: int) -> Any:
    query = sa.select(Referral.__table__).where(Referral.invitee_id == invitee_id)
    with atomic() as transaction:
        return transaction.execute(query).one_or_none()


def _joined_first(own: Any, into_id: int) -> bool:
    """Whether the friend joined before the one they are merged into: who was a member is no newcomer."""
    query = sa.select(Member.joined_at).where(Member.id == into_id)
    with atomic() as transaction:
        return bool(own.joined_at <= transaction.execute(query).scalar_one())


def _refuse(which: sa.ColumnElement[bool]) -> None:
    table = table_of(Referral)
    with atomic() as transaction:
        refused = transaction.execute(
            sa.update(table)
            .where(which, table.c.state.in_(OPEN))
            .values(state="refused", reason=REASON, points=0, join_due_at=None, due_at=None)
            .returning(table.c.invitee_id)
        ).scalars()
        for invitee_id in list(refused):
            for ref_kind in REFS:
                points.void_promises(ref_kind, str(invitee_id))


def _go_along(from_id: int, into_id: int) -> None:
    table, promises = table_of(Referral), table_of(PendingGrant)
    with atomic() as transaction:
        transaction.execute(
            sa.update(table).where(table.c.invitee_id == from_id).values(invitee_id=into_id)
        )
        transaction.execute(
            sa.update(promises)
            .where(promises.c.ref_kind.in_(REFS), promises.c.ref_id == str(from_id))
            .values(ref_id=str(into_id))
        )
