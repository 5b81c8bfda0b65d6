"""What a merge will move, in the figures that it writes down when it has."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import points, tiers
from mall.atomic import read
from mall.errors import AlreadyMerged, NotFound, SameMember
from models import (
    Account,
    CheckIn,
    GivenBundle,
    Member,
    Merge,
    Purchase,
    Redemption,
    Referral,
    Voucher,
)

PROFILE = ("nickname", "gender", "birthday", "city", "phone_match", "external_id")
BLANK = (None, "", "unknown")
COUNTED: dict[str, Any] = {
    "purchases": Purchase,
    "redemptions": Redemption,
    "vouchers": Voucher,
    "gifts": GivenBundle,
}


def check_two(from_id: int, into_id: int) -> None:
    """Raise where these are not two members that stand by themselves."""
    if from_id == into_id:
        raise SameMember()
    merged = {row.from_member_id: row.holder_id for row in _merges(from_id, into_id)}
    for member_id in (from_id, into_id):
        if member_id in merged:
            raise AlreadyMerged(member_id=member_id, holder_id=merged[member_id])


def _merges(*member_ids: int) -> Any:
    columns = (Merge.from_member_id, Merge.holder_id)
    return read(sa.select(*columns).where(Merge.from_member_id.in_(member_ids)))


def preview(from_id: int, into_id: int, *, now: datetime) -> dict[str, Any]:
    """What would move, and how the member would stand; nothing changes."""
    check_two(from_id, into_id)
    accounts = accounts_of(from_id, into_id)
    source, target = accounts[from_id], accounts[into_id]
    for each in (source, target):
        each["points"] -= points.due_points(each["id"], now=now)  # they expire before they move
    debt = source["debt_points"] + target["debt_points"]
    paid = min(debt, source["points"] + target["points"])
    growth = source["growth_value"] + target["growth_value"]
    ladder = tiers.ladder()
    codes = (source["tier"], target["tier"], tiers.reached(ladder, growth).code)
    return {
        "from": source,
        "into": target,
        "moves": moves(from_id, into_id),
        "after": {
            "points": source["points"] + target["points"] - paid,
            "pending_points": source["pending_points"] + target["pending_points"],
            "held_points": source["held_points"] + target["held_points"],
            "debt_points": debt - paid,
            "growth_value": growth,
            "tier": max(codes, key=lambda code: tiers.rank(ladder, code)),
        },
        "differs": _differs(from_id, into_id),
    }


def accounts_of(*member_ids: int) -> dict[int, dict[str, Any]]:
    """The figures of some members' accounts, by id; raises NotFound for one that is none."""
    columns = (
        Account.member_id.label("id"),
        Account.balance_points.label("points"),
        Account.pending_points,
        Account.held_points,
        Account.debt_points,
        Account.growth_value,
        Account.tier_code.label("tier"),
        Account.state,
    )
    rows = read(sa.select(*columns).where(Account.member_id.in_(member_ids)))
    if len(rows) < len(member_ids):
        raise NotFound()
    return {row.id: dict(row._mapping) for row in rows}


def moves(from_id: int, into_id: int) -> dict[str, int]:
    """How many rows of each kind go from one member to the other."""
    counts = {
        name: sa.select(sa.func.count()).where(model.member_id == from_id).scalar_subquery()
        for name, model in COUNTED.items()
    }
    theirs = sa.select(CheckIn.day).where(CheckIn.member_id == into_id)
    fresh = sa.select(sa.func.count()).where(
        CheckIn.member_id == from_id, CheckIn.day.not_in(theirs)
    )
    friends = sa.select(sa.func.count()).where(
        Referral.inviter_id == from_id, Referral.invitee_id != into_id
    )
    named = {
        **counts,
        "checkin_days": fresh.scalar_subquery(),
        "friends": friends.scalar_subquery(),
    }
    (row,) = read(sa.select(*(count.label(name) for name, count in named.items())))
    return dict(row._mapping)


def _differs(from_id: int, into_id: int) -> list[str]:
    """Fields of the profile that both have and that are not the same: the target's stay."""
    columns = [getattr(Member, name) for name in PROFILE]
    rows = read(sa.select(*columns).where(Member.id.in_([from_id, into_id])))
    pairs = {name: {getattr(row, name) for row in rows} - set(BLANK) for name in PROFILE}
    names = [name for name, values in pairs.items() if len(values) > 1]
    return ["phone" if name == "phone_match" else name for name in names]
