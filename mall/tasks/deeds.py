"""Deeds: what members did, as it stands at this moment, whatever was told of it before.

A fact only says where to look. What is found there is what counts: a receipt with the money that is
left of it, a redemption that was not cancelled, a friend who has bought and not given it all back. So
a fact told twice or late changes nothing, and undoing needs no arithmetic of its own.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import profiles, receipts
from mall.atomic import read
from mall.events import (
    CheckedIn,
    Fact,
    Joined,
    ProfileChanged,
    Purchased,
    Redeemed,
    RedemptionCancelled,
    Refunded,
    ReviewApproved,
    Undone,
    VoucherUsed,
)
from mall.refunds import UNDONE
from mall.tasks.rules import Only, Step
from models import (
    CheckIn,
    Event,
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

FRIENDLY = {"friend_joined", "friend_bought", "friend_checked_in", "friend_acted"}
WHOLE = 100  # per cent
NOT_COUNTED = ("refused", "held")  # referrals that nobody is paid for
COUNTED_BY: dict[str, set[type[Fact]]] = {  # facts after which a step has to look again
    "purchase_count": {Purchased, Refunded, Undone},
    "purchase_amount": {Purchased, Refunded, Undone},
    "check_in": {CheckedIn},
    "profile_completed": {ProfileChanged},
    "review_approved": {ReviewApproved, Undone},
    "friend_joined": {Joined},
    "friend_bought": {Purchased, Refunded, Undone},
    "friend_checked_in": {CheckedIn},
    "friend_acted": {Purchased, CheckedIn, Refunded, Undone},
    "redemption": {Redeemed, RedemptionCancelled},
    "voucher_used": {VoucherUsed, Undone},
}


@dataclass(frozen=True, order=True)
class Ref:
    """Where to look, and whose progress it is."""

    member_id: int
    kind: str
    id: str


@dataclass(frozen=True)
class Deed:
    """Something a member did, at a moment, that steps of some kinds count."""

    ref: Ref
    counts: frozenset[str]
    at: datetime
    store_id: int | None = None
    reward_id: int | None = None
    category: str | None = None

    def worth(self, step: Step) -> int:
        """How much of a step it is: times, or fen; 0 where the step does not count it."""
        only = step.only
        fits = (
            step.counts in self.counts
            and (not only.stores or self.store_id in only.stores)
            and (not only.rewards or self.reward_id in only.rewards)
        )
        return self._amount(step) if fits else 0

    def _amount(self, step: Step) -> int:
        categories = step.only.categories
        return int(not categories or self.category in categories)


@dataclass(frozen=True)
class Bought(Deed):
    """A receipt, with the money of each line that is left of it."""

    row: Any = None
    gone: dict[str, int] = field(default_factory=dict)

    def _amount(self, step: Step) -> int:
        fen = self._fen(step.only)
        if fen < max(step.only.min_amount_fen, 1):
            return 0
        return fen if step.counts == "purchase_amount" else 1

    def _fen(self, only: Only) -> int:
        row = self.row
        left_fen = 0 if row.undone_at is not None else row.amount_fen - row.refunded_fen
        if not (only.categories or only.skus):
            return int(left_fen)
        places = {n for n, item in enumerate(row.items) if _is_of(item, only)}
        return receipts.read(row).fen_kept(places, self.gone, left_fen)


def _is_of(item: dict[str, Any], only: Only) -> bool:
    return (not only.categories or item.get("category") in only.categories) and (
        not only.skus or item["sku"] in only.skus
    )


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
    """Who brought the members of facts that a friend's task looks at."""
    looked_at = {each for counts in FRIENDLY for each in COUNTED_BY[counts]}
    friends = {fact.member_id for fact in facts if type(fact) in looked_at}
    if not friends:
        return set()
    query = sa.select(Referral.inviter_id, Referral.invitee_id)
    rows = read(query.where(Referral.invitee_id.in_(friends)))
    return {Ref(row.inviter_id, "friend", str(row.invitee_id)) for row in rows}


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
    ids = [int(each) for each in refs]
    refunds = sa.select(Refund.purchase_id, Refund.items).where(
        Refund.purchase_id.in_(ids), ~UNDONE
    )
    gone: dict[int, list[Any]] = defaultdict(list)
    for row in read(refunds):
        gone[row.purchase_id] += row.items
    query = sa.select(Purchase.__table__).where(Purchase.id.in_(ids))
    counts = frozenset({"purchase_count", "purchase_amount"})
    return [
        Bought(
            *(refs[str(row.id)], counts, min(row.paid_at, row.created_at), row.store_id),
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
    """Approved reviews of receipts that are in the books, at the moment of the approval."""
    refs = _by_id(wanted)
    place = sa.tuple_(Review.purchase_id, Review.line_no)
    lines = [tuple(int(part) for part in each.split(":")) for each in refs]
    columns = (Review.purchase_id, Review.line_no, Review.decided_at, Purchase.store_id)
    query = (
        sa.select(*columns)
        .join(Purchase, Purchase.id == Review.purchase_id)
        .where(place.in_(lines), Review.state == "approved", Purchase.undone_at.is_(None))
    )
    counts = frozenset({"review_approved"})
    return [
        Deed(refs[f"{row.purchase_id}:{row.line_no}"], counts, row.decided_at, row.store_id)
        for row in read(query)
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


def profiles_told_at(facts: Iterable[Fact]) -> dict[int, datetime]:
    """When members changed their profiles, by what was told of it."""
    ids = [fact.id for fact in facts if isinstance(fact, ProfileChanged) and fact.id]
    if not ids:
        return {}
    rows = read(sa.select(Event.member_id, Event.created_at).where(Event.id.in_(ids)))
    return {row.member_id: row.created_at for row in rows}


LOOK: dict[str, Callable[[Sequence[Ref]], list[Deed]]] = {
    "purchase": _purchases,
    "check_in": _check_ins,
    "redemption": _redemptions,
    "voucher": _vouchers,
    "review": _reviews,
    "friend": _friends,
}
