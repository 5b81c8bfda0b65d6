"""Looking: what stands of all that members did, at this moment, whatever was told of it before.

A receipt with the money that is left of it, a redemption that was not cancelled, a friend who has
bought and not given it all back. So a fact told twice or late changes nothing, and undoing needs no
arithmetic of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, profiles, receipts, referrals, tiers
from mall.atomic import read
from mall.refunds import UNDONE
from mall.tasks.deeds import Bought, Deed, Ref, fen_left
from models import (
    CheckIn,
    Member,
    Purchase,
    Redemption,
    Referral,
    Refund,
    Review,
    Reward,
    TierChange,
    Voucher,
    db,
)
from models.base import table_of

WHOLE = 100  # per cent


def find(refs: Collection[Ref], told_at: Mapping[int, datetime], *, now: datetime) -> list[Deed]:
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
    ids = [int(each) for each in refs]
    gone = _gone(ids)
    query = sa.select(Purchase.__table__).where(Purchase.id.in_(ids))
    counts = frozenset({"purchase_count", "purchase_amount"})
    return [
        Bought(
            *(refs[str(row.id)], counts, min(row.paid_at, row.created_at), row.store_id),
            row=row,
            gone=gone[row.id],
        )
        for row in read(query)
    ]


def _gone(purchase_ids: Collection[int]) -> dict[int, dict[str, int]]:
    """Units of receipts that have been refunded, by sku."""
    refunds = sa.select(Refund.purchase_id, Refund.items).where(
        Refund.purchase_id.in_(purchase_ids), ~UNDONE
    )
    gone: dict[int, list[Any]] = {each: [] for each in purchase_ids}
    for row in read(refunds):
        gone[row.purchase_id] += row.items
    return {each: receipts.counted(items) for each, items in gone.items()}


def _visits(refs: Sequence[Ref]) -> list[Deed]:
    """Days on which somebody bought something that they have not given back, store by store."""
    by_place = {(ref.member_id, date.fromisoformat(ref.id)): ref for ref in refs}
    days = [day for _, day in by_place]
    at = _earlier(Purchase.paid_at, Purchase.created_at)
    query = sa.select(Purchase.member_id, Purchase.store_id, at.label("at")).where(
        Purchase.member_id.in_({ref.member_id for ref in refs}),
        at >= clock.start_of_day(min(days)),
        at < clock.end_of_day(max(days)),
        Purchase.undone_at.is_(None),
        Purchase.refunded_fen < Purchase.amount_fen,
    )
    counts, found = frozenset({"visit"}), []
    for row in read(query.order_by(at, Purchase.id)):
        ref = by_place.get((row.member_id, clock.business_day(row.at)))
        if ref is not None:
            found.append(Deed(ref, counts, row.at, row.store_id))
    return found


def _check_ins(refs: Sequence[Ref]) -> list[Deed]:
    """Days that were signed in; no fact tells of one that was made up later."""
    by_place = {(ref.member_id, ref.id): ref for ref in refs}
    query = sa.select(CheckIn.member_id, CheckIn.day, CheckIn.created_at).where(
        CheckIn.member_id.in_({ref.member_id for ref in refs}),
        CheckIn.day.in_({datetime.fromisoformat(ref.id).date() for ref in refs}),
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
    """Approved reviews of lines that were not given back, at the moment of the approval."""
    refs = _by_id(wanted)
    places = [tuple(int(part) for part in each.split(":")) for each in refs]
    review, bought = table_of(Review).c, table_of(Purchase)
    query = (
        sa.select(review.line_no, review.decided_at, bought)
        .join(bought, bought.c.id == review.purchase_id)
        .where(sa.tuple_(review.purchase_id, review.line_no).in_(places))
        .where(review.state == "approved")
    )
    rows, counts = read(query), frozenset({"review_approved"})
    gone = _gone({row.id for row in rows})
    return [
        Deed(refs[f"{row.id}:{row.line_no}"], counts, row.decided_at, row.store_id)
        for row in rows
        if fen_left(row) and receipts.read(row).has_line(row.line_no, gone[row.id])
    ]


def _tiers(wanted: Sequence[Ref]) -> list[Deed]:
    """Rises that no refund took away again, with every tier that was passed."""
    refs, ladder = _by_id(wanted), [tier.code for tier in tiers.ladder()]
    change, other = table_of(TierChange), table_of(TierChange).alias()
    undone = sa.exists().where(other.c.undoes_id == change.c.id)
    query = sa.select(change).where(change.c.id.in_([int(each) for each in refs]), ~undone)
    counts, found = frozenset({"tier_reached"}), []
    for row in read(query):
        low, high = ladder.index(row.tier_before), ladder.index(row.tier_after)
        passed = frozenset(ladder[low + 1 : high + 1])  # nothing where it was a fall
        if passed:
            found.append(Deed(refs[str(row.id)], counts, row.changed_at, tiers=passed))
    return found


def _friends(wanted: Sequence[Ref]) -> list[Deed]:
    """Friends who came by an invitation that counts: that they joined, and what they did first."""
    refs = _by_id(wanted)
    ids = [int(each) for each in refs]
    joined = sa.select(Referral.invitee_id, Referral.joined_at).where(
        Referral.invitee_id.in_(ids), Referral.state != "refused", ~referrals.is_held()
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
    first = sa.func.min(_earlier(moment, latest), type_=moment.type).label("at")
    return sa.select(who.label("member_id"), first).group_by(who)


def _earlier(moment: Any, latest: Any) -> Any:
    """What is said to have happened after it was written down happened then."""
    return sa.case((moment < latest, moment), else_=latest)


def _profiles(refs: Sequence[Ref], told_at: Mapping[int, datetime], now: datetime) -> list[Deed]:
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
    "visit": _visits,
    "tier": _tiers,
}
