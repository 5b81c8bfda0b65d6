"""Where facts say to look. A fact is no more than that; what counts is what is found there."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from mall import clock
from mall.atomic import read
from mall.events import (
    CheckedIn,
    Fact,
    Joined,
    Merged,
    ProfileChanged,
    Purchased,
    Redeemed,
    RedemptionCancelled,
    Referred,
    Refunded,
    ReviewApproved,
    TierChanged,
    Undone,
    VoucherUsed,
)
from mall.tasks.deeds import Ref
from models import Event, Purchase, Referral, Refund, Review

FRIENDLY = {"friend_joined", "friend_bought", "friend_checked_in", "friend_acted"}
OF_BUYING: set[type[Fact]] = {Purchased, Refunded, Undone}
COUNTED_BY: dict[str, set[type[Fact]]] = {  # facts after which a step has to look again
    "purchase_count": OF_BUYING,
    "purchase_amount": OF_BUYING,
    "visit": OF_BUYING,
    "check_in": {CheckedIn},
    "profile_completed": {ProfileChanged},
    "review_approved": {ReviewApproved, Refunded, Undone},
    "friend_joined": {Joined, Referred},
    "friend_bought": OF_BUYING | {Referred},
    "friend_checked_in": {CheckedIn, Referred},
    "friend_acted": OF_BUYING | {CheckedIn, Referred},
    "redemption": {Redeemed, RedemptionCancelled},
    "voucher_used": {VoucherUsed, Undone},
    "tier_reached": {TierChanged},
}
BACK: set[type[Fact]] = {Refunded, Undone, RedemptionCancelled}  # these correct what was counted


def takes_off(fact: Fact) -> bool:
    """Whether a fact only corrects what was counted. A refund that is undone does not: its receipt may
    have been refunded before anybody was told that it was bought."""
    return type(fact) in BACK and not (isinstance(fact, Undone) and fact.what == "refund")


def refs_of(facts: Iterable[Fact], counted: Collection[str]) -> set[Ref]:
    """Where facts say to look, for steps of some kinds."""
    facts = list(facts)
    refs: set[Ref] = set()
    for fact in facts:
        refs |= _own(fact)
    refs |= _of_undone([fact for fact in facts if isinstance(fact, Undone)])
    bought = [int(ref.id) for ref in refs if ref.kind == "purchase"]
    if "review_approved" in counted:
        refs |= _reviews_of(bought, facts)
    if "visit" in counted:
        refs |= _visits_of(bought)
    if FRIENDLY & set(counted):
        refs |= friends_of(facts)
    return refs


def _own(fact: Fact) -> set[Ref]:
    """What a fact says of its own member, where it names the row."""
    who = fact.member_id
    if isinstance(fact, Purchased | Refunded):
        return {Ref(who, "purchase", str(fact.purchase_id))}
    if isinstance(fact, CheckedIn):
        return {Ref(who, "check_in", fact.day)}
    if isinstance(fact, Redeemed | RedemptionCancelled):
        return {Ref(who, "redemption", str(fact.redemption_id))}
    if isinstance(fact, VoucherUsed):
        return {Ref(who, "voucher", str(fact.voucher_id))}
    if isinstance(fact, ProfileChanged):
        return {Ref(who, "profile", str(who))}
    if isinstance(fact, TierChanged):
        return {Ref(who, "tier", str(fact.undoes_id or fact.change_id))}
    return set()


def _of_undone(facts: Sequence[Undone]) -> set[Ref]:
    """What was undone at a till: a receipt, a refund of one, a hand-over."""
    kinds = {"purchase": "purchase", "voucher_use": "voucher"}
    refs = {
        Ref(each.member_id, kinds[each.what], str(each.ref_id))
        for each in facts
        if each.what in kinds
    }
    refunds = {each.ref_id: each.member_id for each in facts if each.what == "refund"}
    if refunds:
        query = sa.select(Refund.id, Refund.purchase_id).where(Refund.id.in_(refunds))
        refs |= {Ref(refunds[row.id], "purchase", str(row.purchase_id)) for row in read(query)}
    return refs


def _reviews_of(bought: Collection[int], facts: Sequence[Fact]) -> set[Ref]:
    """Reviews that were approved, and those of receipts of which something may be gone."""
    approved = [fact.review_id for fact in facts if isinstance(fact, ReviewApproved)]
    if not (approved or bought):
        return set()
    query = sa.select(Review.member_id, Review.purchase_id, Review.line_no).where(
        Review.id.in_(approved) | Review.purchase_id.in_(bought), Review.state == "approved"
    )
    rows = read(query)
    return {Ref(row.member_id, "review", f"{row.purchase_id}:{row.line_no}") for row in rows}


def _visits_of(bought: Collection[int]) -> set[Ref]:
    """The days of receipts: a day is one visit, however many receipts it has."""
    query = sa.select(Purchase.member_id, Purchase.paid_at, Purchase.created_at)
    rows = read(query.where(Purchase.id.in_(bought))) if bought else []
    days = [(row.member_id, clock.business_day(min(row.paid_at, row.created_at))) for row in rows]
    return {Ref(member_id, "visit", day.isoformat()) for member_id, day in days}


def friends_of(facts: Iterable[Fact]) -> set[Ref]:
    """Who brought the members of facts that a friend's task looks at, or two who became one."""
    facts, looked_at = list(facts), {each for counts in FRIENDLY for each in COUNTED_BY[counts]}
    friends = {fact.member_id for fact in facts if type(fact) in {*looked_at, Merged}}
    friends |= {fact.from_member_id for fact in facts if isinstance(fact, Merged)}
    if not friends:
        return set()
    query = sa.select(Referral.inviter_id, Referral.invitee_id)
    rows = read(query.where(Referral.invitee_id.in_(friends)))
    return {Ref(row.inviter_id, "friend", str(row.invitee_id)) for row in rows}


def profiles_told_at(facts: Iterable[Fact]) -> dict[int, datetime]:
    """When members changed their profiles, by what was told of it."""
    ids = [fact.id for fact in facts if isinstance(fact, ProfileChanged) and fact.id]
    if not ids:
        return {}
    rows = read(sa.select(Event.member_id, Event.created_at).where(Event.id.in_(ids)))
    return {row.member_id: row.created_at for row in rows}
