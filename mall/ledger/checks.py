"""What must add up. Every check is one query over the whole shop that names each row that is wrong."""

from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa

from mall.ledger import stock_checks as stock
from mall.ledger.stock_checks import LIVE, sum_of
from models import (
    Account,
    BalanceSettlement,
    Benefit,
    BenefitEntry,
    CheckIn,
    DebtEntry,
    GrowthEntry,
    Hold,
    LedgerEntry,
    LimitCounter,
    Lot,
    LotUse,
    Merge,
    MilestonePaid,
    PaymentReturn,
    PendingGrant,
    PointsPayment,
    Purchase,
    Redemption,
    Refund,
    TillAction,
    Voucher,
)

Members = Collection[int] | None  # whose rows to read; None for everybody's
DAY_S = 86_400


def _per_member(column: Any, member_id: Any, *which: Any) -> Any:
    return sa.select(sum_of(column)).where(member_id == Account.member_id, *which).scalar_subquery()


def _balances(expected: Any, actual: Any) -> sa.Select[Any]:
    """Accounts where two figures of the same thing differ."""
    return sa.select(
        Account.member_id.label("id"), expected.label("expected"), actual.label("actual")
    ).where(expected != actual)


def balance_is_sum_of_entries() -> sa.Select[Any]:
    return _balances(
        _per_member(LedgerEntry.delta_points, LedgerEntry.member_id), Account.balance_points
    )


def balance_is_sum_of_lots() -> sa.Select[Any]:
    of_lots = _per_member(Lot.points_left, Lot.member_id, Lot.points_left > 0)  # as its index says
    return _balances(of_lots, Account.balance_points)


def entries_are_counted_without_a_gap() -> sa.Select[Any]:
    count = sa.select(sa.func.count()).where(LedgerEntry.member_id == Account.member_id)
    last = sa.select(sa.func.coalesce(sa.func.max(LedgerEntry.seq), 0)).where(
        LedgerEntry.member_id == Account.member_id
    )
    counted, highest = count.scalar_subquery(), last.scalar_subquery()
    return sa.select(
        Account.member_id.label("id"), counted.label("expected"), Account.entries.label("actual")
    ).where((counted != Account.entries) | (highest != Account.entries))


def _of(members: Members, member_id: Any) -> Any:
    return sa.true() if members is None else member_id.in_(members)


def each_entry_follows_from_the_one_before(members: Members = None) -> sa.Select[Any]:
    """An account whose balance a person has found right goes on from there."""
    settled, seq = BalanceSettlement, LedgerEntry.seq
    last = sa.func.lag(LedgerEntry.balance_after_points, 1, 0).over(
        partition_by=LedgerEntry.member_id, order_by=seq
    )
    before = sa.case((seq == settled.seq + 1, settled.balance_points), else_=last)
    entries: Any = sa.select(
        LedgerEntry.id.label("id"),
        (before + LedgerEntry.delta_points).label("expected"),
        LedgerEntry.balance_after_points.label("actual"),
        sa.or_(settled.seq.is_(None), seq > settled.seq).label("since"),
    )
    steps = (
        entries.outerjoin(settled, settled.member_id == LedgerEntry.member_id)
        .where(_of(members, LedgerEntry.member_id))
        .subquery()
    )
    return sa.select(steps.c.id, steps.c.expected, steps.c.actual).where(
        steps.c.expected != steps.c.actual, steps.c.since
    )


def pending_is_sum_of_promises() -> sa.Select[Any]:
    promised = (
        sa.select(sum_of(PendingGrant.points))
        .where(PendingGrant.member_id == Account.member_id, PendingGrant.state == "pending")
        .scalar_subquery()
    )
    return _balances(promised, Account.pending_points)


def held_is_sum_of_holds() -> sa.Select[Any]:
    held = (
        sa.select(sum_of(Hold.points))
        .where(Hold.member_id == Account.member_id, Hold.state == "held")
        .scalar_subquery()
    )
    return _balances(held, Account.held_points)


def debt_is_sum_of_debt_entries() -> sa.Select[Any]:
    return _balances(_per_member(DebtEntry.delta_points, DebtEntry.member_id), Account.debt_points)


def nobody_owes_and_has_points() -> sa.Select[Any]:
    """Whatever comes in pays a debt first; only points that were there before it may be left."""
    older = (
        sa.select(sum_of(Lot.points_left))
        .where(
            Lot.member_id == Account.member_id,
            Lot.points_left > 0,
            Lot.earned_at
            > sa.select(sa.func.max(DebtEntry.created_at))
            .where(DebtEntry.member_id == Account.member_id)
            .scalar_subquery(),
        )
        .scalar_subquery()
    )
    nothing = sa.literal(0)
    return sa.select(
        Account.member_id.label("id"), nothing.label("expected"), older.label("actual")
    ).where(Account.debt_points > 0, older > 0)


def refunds_are_what_receipts_lost() -> sa.Select[Any]:
    """Money given back for a receipt, without the refunds that were undone."""
    undone = sa.exists().where(
        TillAction.kind == "refund",
        TillAction.ref_id == Refund.id,
        TillAction.undone_at.is_not(None),
    )
    back = (
        sa.select(sum_of(Refund.amount_fen))
        .where(Refund.purchase_id == Purchase.id, ~undone)
        .scalar_subquery()
    )
    return sa.select(
        Purchase.id.label("id"), back.label("expected"), Purchase.refunded_fen.label("actual")
    ).where(back != Purchase.refunded_fen)


def payments_gave_back_what_lots_got() -> sa.Select[Any]:
    back = (
        sa.select(sum_of(PaymentReturn.points))
        .where(PaymentReturn.payment_id == PointsPayment.id)
        .scalar_subquery()
    )
    paid = PointsPayment
    return sa.select(
        paid.id.label("id"), back.label("expected"), paid.returned_points.label("actual")
    ).where(back != paid.returned_points)


def growth_is_sum_of_growth_entries() -> sa.Select[Any]:
    return _balances(
        _per_member(GrowthEntry.delta_value, GrowthEntry.member_id), Account.growth_value
    )


def spending_is_remembered_by_lot() -> sa.Select[Any]:
    """What an entry took is what the lots remember of it. A cancellation takes nothing."""
    used = (
        sa.select(sum_of(LotUse.points)).where(LotUse.entry_id == LedgerEntry.id).scalar_subquery()
    )
    return sa.select(
        LedgerEntry.id.label("id"),
        (-LedgerEntry.delta_points).label("expected"),
        used.label("actual"),
    ).where(LedgerEntry.delta_points < 0, used != -LedgerEntry.delta_points)


def limits_are_live_redemptions(members: Members = None) -> sa.Select[Any]:
    """Each side once and for all: what one of them lacks is found as well as what differs."""
    live: Any = sa.select(
        *(Redemption.member_id, Redemption.reward_id, Redemption.period),
        Redemption.quantity.label("live"),
        sa.literal(0).label("counted"),
    ).where(Redemption.state.in_(LIVE), _of(members, Redemption.member_id))
    counted: Any = sa.select(
        *(LimitCounter.member_id, LimitCounter.reward_id, LimitCounter.period),
        sa.literal(0),
        LimitCounter.quantity,
    ).where(_of(members, LimitCounter.member_id))
    both = live.union_all(counted).subquery().c
    expected, actual = sa.func.sum(both.live), sa.func.sum(both.counted)
    return (
        sa.select(both.member_id.label("id"), expected.label("expected"), actual.label("actual"))
        .group_by(both.member_id, both.reward_id, both.period)
        .having(expected != actual)
    )


def vouchers_agree_with_redemptions() -> sa.Select[Any]:
    """A used voucher's redemption is used, a void one's is cancelled."""
    agrees = sa.or_(
        (Voucher.state == "used") & (Redemption.state == "used"),
        (Voucher.state == "void") & (Redemption.state == "cancelled"),
        (Voucher.state == "issued") & (Redemption.state == "issued"),
        (Voucher.state == "expired") & Redemption.state.in_(("issued", "expired")),
    )
    pairs: Any = sa.select(
        Voucher.id.label("id"),
        Redemption.state.label("expected"),
        Voucher.state.label("actual"),
    )
    found: sa.Select[Any] = pairs.join(Redemption, Redemption.id == Voucher.redemption_id).where(
        ~agrees
    )
    return found


def streaks_follow_from_the_day_before(members: Members = None) -> sa.Select[Any]:
    """A day counts one more than the day before it, or 1 where nobody signed in on that."""
    in_order: dict[str, Any] = {"partition_by": CheckIn.member_id, "order_by": CheckIn.day}
    at_s: Any = sa.extract("epoch", CheckIn.day)
    last_s = sa.func.lag(at_s).over(**in_order)
    last_streak = sa.func.lag(CheckIn.streak_days).over(**in_order)
    all_days = sa.select(
        CheckIn.member_id.label("id"),
        sa.case((last_s == at_s - DAY_S, last_streak + 1), else_=1).label("expected"),
        CheckIn.streak_days.label("actual"),
    )
    days = all_days.where(_of(members, CheckIn.member_id)).subquery()
    return sa.select(days).where(days.c.expected != days.c.actual)


def milestones_are_what_was_granted() -> sa.Select[Any]:
    """Accounts whose streak bonuses are not what their milestones say.

    Those who were merged count as one: their entries stay, their milestones go with their days.
    """
    said: Any = sa.select(
        MilestonePaid.member_id,
        MilestonePaid.points.label("said"),
        sa.literal(0).label("granted"),
    )
    granted: Any = sa.select(LedgerEntry.member_id, sa.literal(0), LedgerEntry.delta_points).where(
        LedgerEntry.kind == "check_in_bonus"
    )
    both = said.union_all(granted).subquery().c
    owner = sa.func.coalesce(Merge.holder_id, both.member_id)
    expected, actual = sa.func.sum(both.said), sa.func.sum(both.granted)
    query: sa.Select[Any] = sa.select(
        owner.label("id"), expected.label("expected"), actual.label("actual")
    )
    return (
        query.outerjoin(Merge, Merge.from_member_id == both.member_id)
        .group_by(owner)
        .having(expected != actual)
    )


def each_growth_follows_from_the_one_before(members: Members = None) -> sa.Select[Any]:
    entry = GrowthEntry
    last = sa.func.lag(entry.value_after, 1, 0).over(
        partition_by=entry.member_id, order_by=entry.id
    )
    all_steps = sa.select(
        entry.id.label("id"),
        (last + entry.delta_value).label("expected"),
        entry.value_after.label("actual"),
    )
    steps = all_steps.where(_of(members, entry.member_id)).subquery()
    return sa.select(steps).where(steps.c.expected != steps.c.actual)


def benefits_are_sum_of_their_entries() -> sa.Select[Any]:
    moved = (
        sa.select(sum_of(BenefitEntry.delta_uses))
        .where(BenefitEntry.benefit_id == Benefit.id)
        .scalar_subquery()
    )
    return sa.select(
        Benefit.id.label("id"), moved.label("expected"), Benefit.uses_left.label("actual")
    ).where(moved != Benefit.uses_left)


CHECKS: tuple[tuple[str, Callable[[], sa.Select[Any]]], ...] = (
    ("account", balance_is_sum_of_entries),
    ("account", balance_is_sum_of_lots),
    ("account", entries_are_counted_without_a_gap),
    ("entry", each_entry_follows_from_the_one_before),
    ("account", pending_is_sum_of_promises),
    ("account", held_is_sum_of_holds),
    ("account", debt_is_sum_of_debt_entries),
    ("account", nobody_owes_and_has_points),
    ("account", growth_is_sum_of_growth_entries),
    ("purchase", refunds_are_what_receipts_lost),
    ("payment", payments_gave_back_what_lots_got),
    ("entry", spending_is_remembered_by_lot),
    ("reward", stock.stock_is_moves),
    ("reward", stock.promised_units_are_live_redemptions),
    ("reward", stock.stocked_is_left_and_live),
    ("reward", stock.stores_moved_what_they_have),
    ("reward", stock.stores_promised_what_is_fetched_there),
    ("reward", stock.stores_add_up_to_the_reward),
    ("member", limits_are_live_redemptions),
    ("voucher", vouchers_agree_with_redemptions),
    ("member", streaks_follow_from_the_day_before),
    ("account", milestones_are_what_was_granted),
    ("growth", each_growth_follows_from_the_one_before),
    ("benefit", benefits_are_sum_of_their_entries),
)
BY_MEMBER = (  # these read a member's rows side by side: of some rows alone they can't be asked
    each_entry_follows_from_the_one_before,
    limits_are_live_redemptions,
    streaks_follow_from_the_day_before,
    each_growth_follows_from_the_one_before,
)


def find_among(name: str, ids: Collection[int], members: Collection[int]) -> sa.Select[Any]:
    """What a check finds among some rows, which are those members' where they are anybody's."""
    check: Any = next(check for _, check in CHECKS if check.__name__ == name)
    found = (check(members) if check in BY_MEMBER else check()).subquery()
    return sa.select(found.c.id).where(found.c.id.in_(ids)).distinct()
