"""Two members who become one: what both did counts for one, and what either claimed is claimed."""

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from mall.atomic import atomic
from models import Referral, TaskClaim, TaskMark
from models.base import table_of

FRIEND = "friend"


def join(from_id: int, into_id: int) -> None:
    """Let one member have the progress and claims of another.

    What both did on the same day, or for the same friend, counts once; where both claimed a period,
    the other's claim stays where it was. What follows is settled when the merge is told. Needs both
    accounts' locks.
    """
    marks, same = table_of(TaskMark), aliased(table_of(TaskMark))
    there = sa.exists().where(
        same.c.member_id == into_id,
        same.c.task_id == marks.c.task_id,
        same.c.step == marks.c.step,
        same.c.ref_kind == marks.c.ref_kind,
        same.c.ref_id == marks.c.ref_id,
    )
    claims, standing = table_of(TaskClaim), aliased(table_of(TaskClaim))
    claimed = sa.exists().where(
        standing.c.member_id == into_id,
        standing.c.task_id == claims.c.task_id,
        standing.c.period == claims.c.period,
        standing.c.state != "taken_back",
    )
    live = claims.c.state != "taken_back"
    with atomic() as transaction:
        transaction.execute(
            sa.update(marks)
            .where(marks.c.member_id == from_id, marks.c.ref_kind == "profile")
            .values(ref_id=str(into_id))
        )
        _one_friend(from_id, into_id)
        transaction.execute(
            sa.update(marks).where(marks.c.member_id == from_id, ~there).values(member_id=into_id)
        )
        transaction.execute(
            sa.update(claims)
            .where(claims.c.member_id == from_id, ~live | ~claimed)
            .values(member_id=into_id)
        )


def _one_friend(from_id: int, into_id: int) -> None:
    """Whoever brought one of the two has brought one friend, who counts once."""
    marks, other = table_of(TaskMark), aliased(table_of(TaskMark))
    there = sa.exists().where(
        other.c.member_id == marks.c.member_id,
        other.c.task_id == marks.c.task_id,
        other.c.step == marks.c.step,
        other.c.ref_kind == FRIEND,
        other.c.ref_id == str(into_id),
    )
    brought = sa.select(Referral.inviter_id).where(Referral.invitee_id.in_([from_id, into_id]))
    with atomic() as transaction:
        transaction.execute(
            sa.update(marks)
            .where(
                marks.c.member_id.in_(brought),
                marks.c.ref_kind == FRIEND,
                marks.c.ref_id == str(from_id),
                ~there,
            )
            .values(ref_id=str(into_id))
        )
