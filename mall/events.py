"""Facts. A verb records what it made true, in its own transaction; mall/reactions.py answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from mall.atomic import atomic
from models import Event
from models.base import insert


@dataclass(frozen=True)
class Fact:
    """Something that became true for a member. `id` is its row's, once it is told."""

    kind: ClassVar[str]
    member_id: int
    id: int | None = field(default=None, kw_only=True, compare=False)


@dataclass(frozen=True)
class Joined(Fact):
    kind = "joined"


@dataclass(frozen=True)
class Referred(Fact):
    """Who brought a newcomer was noted, or is in question: their referral is looked at."""

    kind = "referred"


@dataclass(frozen=True)
class Closed(Fact):
    """An account was closed for good."""

    kind = "closed"


@dataclass(frozen=True)
class CheckedIn(Fact):
    kind = "checked_in"
    day: str
    streak_days: int


@dataclass(frozen=True)
class Purchased(Fact):
    kind = "purchased"
    purchase_id: int
    amount_fen: int


@dataclass(frozen=True)
class Refunded(Fact):
    kind = "refunded"
    purchase_id: int
    amount_fen: int
    left_fen: int


@dataclass(frozen=True)
class Redeemed(Fact):
    kind = "redeemed"
    redemption_id: int
    reward_id: int
    quantity: int


@dataclass(frozen=True)
class RedemptionCancelled(Fact):
    kind = "redemption_cancelled"
    redemption_id: int
    reward_id: int
    quantity: int
    period: str = "ever"  # facts of an older version don't say: then there was no other
    epoch: int | None = None


@dataclass(frozen=True)
class RedemptionShipped(Fact):
    kind = "redemption_shipped"
    redemption_id: int


@dataclass(frozen=True)
class VoucherUsed(Fact):
    kind = "voucher_used"
    voucher_id: int
    store_id: int


@dataclass(frozen=True)
class BundleGiven(Fact):
    kind = "bundle_given"
    gift_id: int
    bundle_code: str


@dataclass(frozen=True)
class UnitsGiven(Fact):
    kind = "units_given"
    redemption_id: int
    reward_id: int
    quantity: int
    epoch: int


@dataclass(frozen=True)
class Undone(Fact):
    """Something done at a till was undone: `what` and `ref_id` say what, as its action did."""

    kind = "undone"
    action_id: int
    what: str
    ref_id: int


@dataclass(frozen=True)
class Merged(Fact):
    """Another member became part of this one."""

    kind = "merged"
    from_member_id: int


@dataclass(frozen=True)
class ProfileChanged(Fact):
    kind = "profile_changed"
    completeness_percent: int


@dataclass(frozen=True)
class TierChanged(Fact):
    kind = "tier_changed"
    change_id: int
    tier_before: str
    tier_after: str
    direction: str  # up or down
    source: str
    undoes_id: int | None = None


@dataclass(frozen=True)
class PointsReminded(Fact):
    """Points of a member end soon, and they are to be told."""

    kind = "points_reminded"
    reminder_id: int


@dataclass(frozen=True)
class BenefitUsed(Fact):
    kind = "benefit_used"
    use_id: int
    code: str


@dataclass(frozen=True)
class BenefitUseUndone(Fact):
    kind = "benefit_use_undone"
    use_id: int
    code: str


@dataclass(frozen=True)
class ReviewApproved(Fact):
    kind = "review_approved"
    review_id: int


KINDS = {fact.kind: fact for fact in Fact.__subclasses__()}


def record(*facts: Fact, now: datetime) -> None:
    """Write down facts, in the transaction that makes them true."""
    record_many(facts, now=now)


def record_many(facts: Sequence[Fact], *, now: datetime) -> None:
    if not facts:
        return
    with atomic() as transaction:
        transaction.execute(insert(Event), [_row(fact, now) for fact in facts])


def _row(fact: Fact, now: datetime) -> dict[str, object]:
    payload = asdict(fact)
    payload.pop("id")
    return {
        "kind": fact.kind,
        "member_id": payload.pop("member_id"),
        "payload": payload,
        "created_at": now,
        "attempts": 0,
    }


def read(event: Event) -> Fact:
    """The fact a row holds."""
    fields: dict[str, Any] = {"member_id": event.member_id, **event.payload}
    return KINDS[event.kind](**fields, id=event.id)
