"""Where facts say to look: at the rows of their own member, and at those of who brought them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import sqlalchemy as sa

from mall.atomic import read
from mall.events import (
    CheckedIn,
    Fact,
    Merged,
    ProfileChanged,
    Purchased,
    Redeemed,
    RedemptionCancelled,
    Refunded,
    ReviewApproved,
    Undone,
    VoucherUsed,
)
from mall.tasks.deeds import COUNTED_BY, FRIENDLY, Ref
from models import Event, Referral, Refund, Review


def refs_of(facts: Iterable[Fact], counted: Collection[str]) -> set[Ref]:
    """Where facts say to look, for steps of some kinds."""
    facts = list(facts)
    refs: set[Ref] = set()
    for fact in facts:
        refs |= _own(fact)
    refs |= _of_undone([fact for fact in facts if isinstance(fact, Undone)])
    if "review_approved" in counted:
        refs |= _reviews_of(refs, facts)
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


def _reviews_of(refs: set[Ref], facts: Sequence[Fact]) -> set[Ref]:
    """Reviews that were approved, and those of receipts that may be undone."""
    approved = [fact.review_id for fact in facts if isinstance(fact, ReviewApproved)]
    bought = [int(ref.id) for ref in refs if ref.kind == "purchase"]
    of_them = Review.id.in_(approved) | Review.purchase_id.in_(bought)
    query = sa.select(Review.member_id, Review.purchase_id, Review.line_no)
    rows = read(query.where(of_them, Review.state == "approved")) if approved or bought else []
    return {Ref(row.member_id, "review", f"{row.purchase_id}:{row.line_no}") for row in rows}


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
