"""Members who look like one person: a list for people to look at, not a verdict."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mall.atomic import read
from models import Member, Merge

SAME_PHONE, SAME_PERSON = "same_phone", "same_name_and_birthday"
MAX_TWINS = 20  # shown of one group
KEYS: dict[str, tuple[Sequence[Any], Any]] = {  # what is the same, of whom
    SAME_PHONE: ([Member.phone_match], Member.phone_match.is_not(None)),
    SAME_PERSON: (
        [Member.nickname, Member.birthday],
        (Member.nickname != "") & Member.birthday.is_not(None),
    ),
}


def _alone() -> Any:
    return ~sa.exists().where(Merge.from_member_id == Member.id)


def duplicates() -> sa.Select[Any]:
    """The first member of each group that has one phone, in whatever spelling, or name and birthday."""
    firsts = [
        Member.id.in_(
            sa.select(sa.func.min(Member.id))
            .where(which, _alone())
            .group_by(*keys)
            .having(sa.func.count() > 1)
        )
        for keys, which in KEYS.values()
    ]
    return sa.select(Member).where(sa.or_(*firsts))


def twins_of(member: Member) -> list[dict[str, Any]]:
    """Why a member looks like others, and who they are: `{reason, members: [ids]}`."""
    found = []
    for reason, (keys, which) in KEYS.items():
        same = sa.select(*keys).where(Member.id == member.id, which).subquery()
        others = (
            sa.select(Member.id)
            .join(same, sa.and_(*(a == b for a, b in zip(keys, same.c, strict=True))))
            .where(Member.id != member.id, which, _alone())
            .order_by(Member.id)
            .limit(MAX_TWINS)
        )
        if ids := [row.id for row in read(others)]:
            found.append({"reason": reason, "members": ids})
    return found
