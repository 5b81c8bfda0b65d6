"""What stands of members' deeds at this moment, kind by kind, each with one question for all."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import profiles, receipts
from mall.atomic import read
from mall.refunds import UNDONE
from mall.tasks.deeds import Bought, Deed, Ref
from models import (
    CheckIn,
    Member,
    Purchase,
    Redemption,
    Referral,
    Refund,
    Review,
    Reward,
    Voucher,
    db,
)

WHOLE = 100  # per cent
NOT_COUNTED = ("refused", "held")  # referrals that nobody is paid for


def find(refs: Collection[Ref], told_at: dict[int, datetime], *, now: datetime) -> list[Deed]:
    """What stands of all that at this moment; under the locks of those whose progress it is."""
    by_kind: dict[str, list[Ref]] = defaultdict(list)
    for ref in sorted(refs):
        by_kind[ref.kind].append(ref)
    found: list[Deed] = []
    for kind, look in LOOK.items():
        if by_kind[kind]:
            found += look(by_kind[kind])
    return [*found, *_profiles(by_kind["profile"], told_at, now)]


def _by_id(refs: Sequence[Ref]) -> dict[str, Ref]:
    return {ref.id: ref for ref in refs}


def _purchases(wanted: Sequence[Ref]) -> list[Deed]:
    refs = _by_id(wanted)
    found = _receipts([int(each) for each in refs])
    return [replace(each, ref=refs[each.ref.id]) for each in found]


def _receipts(purchase_ids: Collection[int]) -> list[Bought]:
    """Receipts with what was refunded of them."""
    refunds = sa.select(Refund.purchase_id, Refund.items).where(
        Refund.purchase_id.in_(purchase_ids), ~UNDONE
    )
    gone: dict[int, list[Any]] = defaultdict(list)
    for row in read(refunds):
        gone[row.purchase_id] += row.items
    query = sa.select(Purchase.__table__).where(Purchase.id.in_(purchase_ids))
    counts = frozenset({"purchase_count", "purchase_amount"})
    return [
        Bought(
            *(Ref(row.member_id, "purchase", str(row.id)), counts),
            *(min(row.paid_at, row.created_at), row.store_id),
            row=row,
            gone=receipts.counted(gone[row.id]),
        )
        for row in read(query)
    ]


def _check_ins(refs: Sequence[Ref]) -> list[Deed]:
    """Days that were signed in; a day made up later was not."""
    by_place = {(ref.member_id, ref.id): ref for ref in refs}
    query = sa.select(CheckIn.member_id, CheckIn.day, CheckIn.created_at).where(
        CheckIn.member_id.in_({ref.member_id for ref in refs}),
        CheckIn.day.in_({datetime.fromisoformat(ref.id).date() for ref in refs}),
        CheckIn.kind == "normal",
    )
    places = [((row.member_id, row.day.isoformat()), row.created_at) for row in read(query)]
    counts = frozenset({"check_in"})
    return [Deed(by_place[at], counts, moment) for at, moment in places if at in by_place]


def _redemptions(wanted: Sequence[Ref]) -> list[Deed]:
    refs = _by_id(wanted)
    columns = (Redemption.id, Redemption.reward_id, Redemption.created_at, Reward.category)
    query = (
        sa.select(*columns, Redemption.store_id)
        .join(Reward, Reward.id == Redemption.reward_id)
        .where(Redemption.id.in_([int(each) for each in refs]), Redemption.state != "cancelled")
    )
    counts = frozenset({"redemption"})
    return [
        Deed(refs[str(r.id)], counts, r.created_at, r.store_id, r.reward_id, r.category)
        for r in read(query)
    ]


def _vouchers(wanted: Sequence[Ref]) -> list[Deed]:
    refs = _by_id(wanted)
    columns = (Voucher.id, Voucher.used_at, Voucher.used_store_id, Redemption.reward_id)
    query = (
        sa.select(*columns, Reward.category)
        .join(Redemption, Redemption.id == Voucher.redemption_id)
        .join(Reward, Reward.id == Redemption.reward_id)
        .where(Voucher.id.in_([int(each) for each in refs]), Voucher.state == "used")
    )
    counts = frozenset({"voucher_used"})
    return [
        Deed(refs[str(r.id)], counts, r.used_at, r.used_store_id, r.reward_id, r.category)
        for r in read(query)
    ]


def _reviews(wanted: Sequence[Ref]) -> list[Deed]:
    """Approved reviews of lines of which something is still bought, at the moment of approval."""
    refs = _by_id(wanted)
    lines = [tuple(int(part) for part in each.split(":")) for each in refs]
    bought = {int(each.ref.id): each for each in _receipts({line[0] for line in lines})}
    columns = (Review.purchase_id, Review.line_no, Review.decided_at)
    place = sa.tuple_(Review.purchase_id, Review.line_no)
    query = sa.select(*columns).where(place.in_(lines), Review.state == "approved")
    counts = frozenset({"review_approved"})
    return [
        Deed(
            *(refs[f"{row.purchase_id}:{row.line_no}"], counts, row.decided_at),
            store_id=bought[row.purchase_id].store_id,
        )
        for row in read(query)
        if bought[row.purchase_id].fen_of_line(row.line_no)
    ]


def _friends(wanted: Sequence[Ref]) -> list[Deed]:
    """Friends who came by an invitation that counts: that they joined, and what they did first."""
    refs = _by_id(wanted)
    ids = [int(each) for each in refs]
    joined = sa.select(Referral.invitee_id, Referral.joined_at).where(
        Referral.invitee_id.in_(ids), Referral.state.not_in(NOT_COUNTED)
    )
    first_buy = _first(Purchase.member_id, Purchase.paid_at, Purchase.created_at).where(
        Purchase.member_id.in_(ids),
        Purchase.undone_at.is_(None),
        Purchase.refunded_fen < Purchase.amount_fen,
    )
    first_sign = _first(CheckIn.member_id, CheckIn.created_at, CheckIn.created_at).where(
        CheckIn.member_id.in_(ids), CheckIn.kind == "normal"
    )
    bought = {row.member_id: row.at for row in read(first_buy)}
    signed = {row.member_id: row.at for row in read(first_sign)}
    found = []
    for row in read(joined):
        ref, friend = refs[str(row.invitee_id)], row.invitee_id
        firsts = {"friend_joined": row.joined_at}
        firsts |= {"friend_bought": bought[friend]} if friend in bought else {}
        firsts |= {"friend_checked_in": signed[friend]} if friend in signed else {}
        acts = [at for kind, at in firsts.items() if kind != "friend_joined"]
        firsts |= {"friend_acted": min(acts)} if acts else {}
        found += [Deed(ref, frozenset({kind}), at) for kind, at in firsts.items()]
    return found


def _first(who: Any, moment: Any, latest: Any) -> sa.Select[Any]:
    """The first time of each; what says that it happened later than it was written down did not."""
    at = sa.case((moment < latest, moment), else_=latest)
    first = sa.func.min(at, type_=moment.type).label("at")
    return sa.select(who.label("member_id"), first).group_by(who)


def _profiles(refs: Sequence[Ref], told_at: dict[int, datetime], now: datetime) -> list[Deed]:
    """Profiles that are complete."""
    if not refs:
        return []
    by_member = {ref.member_id: ref for ref in refs}
    found = db.session.scalars(
        sa.select(Member).where(Member.id.in_(by_member)).execution_options(populate_existing=True)
    )
    counts = frozenset({"profile_completed"})
    return [
        Deed(by_member[each.id], counts, told_at.get(each.id, now))
        for each in found
        if profiles.completeness_percent(each) == WHOLE
    ]


LOOK: dict[str, Callable[[Sequence[Ref]], list[Deed]]] = {
    "purchase": _purchases,
    "check_in": _check_ins,
    "redemption": _redemptions,
    "voucher": _vouchers,
    "review": _reviews,
    "friend": _friends,
}
