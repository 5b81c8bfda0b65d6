"""Undo at the till: everything as it was, once, within the window or by the manager."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, purchases, refunds, staff, tiers, undo, vouchers
from mall.errors import (
    AlreadyUndone,
    LaterRefundStands,
    NotFound,
    PurchaseUndone,
    RefundsStand,
    UndoTooLate,
)
from mall.idempotency import Replayed
from mall.purchases import Receipt
from models import (
    Account,
    EarningCounter,
    EarningRule,
    Event,
    Purchase,
    Redemption,
    TierChange,
    TillAction,
    Voucher,
)
from tests.makers import a_key, grant
from tests.mall.books import (
    DAY,
    balance,
    book_of,
    by_hand,
    clerk,
    count,
    entries,
    left,
    lots,
    one,
    rows,
    said,
    spend,
    wrong,
)
from tests.mall.together import together

MINUTE = timedelta(minutes=1)
ROUTE = "POST /api/v1/clerk/actions/1/undo"


@pytest.fixture
def buy(hired, stores, now):
    """Record a receipt at store A's till; answers the purchase's id."""

    def record(member, amount_fen=10_000, receipt_no="R1", at=now):
        receipt = Receipt(
            stores["A"], receipt_no, member, amount_fen, at, staff_id=hired["clerk-a"]
        )
        key = a_key(route="POST /api/v1/clerk/purchases")
        return said(purchases.record_one(receipt, key=key, now=at))["id"]

    return record


@pytest.fixture
def give_back(hired, now):
    def refund(purchase, amount_fen, at=now):
        key = a_key(route="POST /api/v1/clerk/purchases/1/refunds")
        return refunds.refund(purchase, amount_fen, clerk=clerk(hired["clerk-a"]), key=key, now=at)

    return refund


@pytest.fixture
def hand_over(a_member, a_shelf, redeem, hired, now):
    """A voucher that clerk A has handed over; answers its id."""
    member, shelf = a_member(points=10), a_shelf()
    redeem(member, shelf)
    voucher = one(Voucher.id, Voucher.member_id == member)

    def use(at=now):
        found = db_voucher(voucher)
        key = a_key(route="POST /api/v1/clerk/vouchers/x/use")
        return vouchers.use(vouchers.code_of(found), clerk=clerk(hired["clerk-a"]), key=key, now=at)

    use()
    return voucher, use


def db_voucher(voucher_id):
    (row,) = rows(Voucher, where=[Voucher.id == voucher_id])
    return row[0]


@pytest.fixture
def take_back(hired, now):
    def call(kind, ref_id, *, by="clerk-a", at=now, key=None, reason="录错了"):
        where = [TillAction.kind == kind, TillAction.ref_id == ref_id]
        action = rows(TillAction.id, where=where, order=TillAction.id.desc())[0][0]
        asked = key or a_key(route=ROUTE)
        return undo.undo(action, reason, staff=clerk(hired[by]), key=asked, now=at)

    return call


def figures(member):
    names = (Account.balance_points, Account.debt_points, Account.growth_value, Account.tier_code)
    (row,) = rows(*names, where=[Account.member_id == member])
    return row


@pytest.mark.covers("G4")
def test_an_undone_receipt_leaves_points_growth_and_tier_as_they_were(a_member, buy, take_back):
    member = a_member(points=30)
    purchase = buy(member, 200_000)
    assert figures(member) == (2_030, 0, 2_000, "silver")

    answer = take_back("purchase", purchase)

    assert said(answer)["points"] == said(answer)["growth"] == -2_000
    assert (said(answer)["tier_before"], said(answer)["tier_after"]) == ("silver", "base")
    assert figures(member) == (30, 0, 0, "base") and left(member) == [30, 0]
    assert wrong() == []


@pytest.mark.covers("G4")
def test_the_number_of_an_undone_receipt_may_be_recorded_again(a_member, buy, take_back):
    wrong_member, member = a_member(), a_member()
    first = buy(wrong_member)
    take_back("purchase", first)

    second = buy(member)

    assert second != first and (balance(wrong_member), balance(member)) == (0, 100)
    assert one(Purchase.undone_receipt_no, Purchase.id == first) == "R1"
    assert one(Purchase.receipt_no, Purchase.id == second) == "R1" and wrong() == []


def test_what_was_spent_of_an_undone_receipt_is_owed(a_member, buy, take_back):
    member = a_member()
    purchase = buy(member)
    spend(member, 80, "gone")

    answer = take_back("purchase", purchase)

    assert (said(answer)["points"], said(answer)["debt_points"]) == (-20, 80)
    assert figures(member)[:2] == (0, 80) and wrong() == []


def test_points_that_paid_a_debt_are_owed_again(a_member, buy, take_back):
    member = a_member()
    spent = buy(member, receipt_no="R0")
    spend(member, 100, "gone")
    take_back("purchase", spent)
    purchase = buy(member, 15_000)
    assert figures(member)[:2] == (50, 0)

    take_back("purchase", purchase)

    assert figures(member)[:2] == (0, 100) and wrong() == []


def test_a_tier_that_something_else_keeps_up_stays(a_member, buy, take_back):
    member = a_member()
    first, _ = buy(member, 120_000, "R1"), buy(member, 150_000, "R2")

    take_back("purchase", first)

    assert figures(member) == (1_500, 0, 1_500, "silver")
    assert count(TierChange, TierChange.member_id == member) == 1


def test_a_tier_that_a_later_receipt_reached_with_this_ones_help_goes_too(
    a_member, buy, take_back, now
):
    member = a_member()
    first = buy(member, 60_000, "R1")
    buy(member, 60_000, "R2", at=now + MINUTE)

    take_back("purchase", first, at=now + 2 * MINUTE)

    assert figures(member) == (600, 0, 600, "base") and wrong() == []


@pytest.mark.covers("G4", "C12")
def test_an_undone_refund_gives_back_to_the_very_lots(a_member, buy, give_back, take_back, now):
    member = a_member()
    grant(member, 50, expires_at=now + DAY)
    purchase = buy(member)
    spend(member, 110, "gone")
    before = (figures(member), lots(member))
    refund = said(give_back(purchase, 6_000))
    assert (refund["points_taken"], refund["debt_points"]) == (40, 20)

    answer = take_back("refund", refund["id"])

    assert (said(answer)["points"], said(answer)["debt_points"]) == (40, -20)
    assert (figures(member), lots(member)) == before
    assert one(Purchase.refunded_fen, Purchase.id == purchase) == 0 and wrong() == []


def test_what_paid_the_debt_of_an_undone_refund_comes_back_to_its_lot(
    a_member, buy, give_back, take_back, now
):
    member = a_member()
    purchase = buy(member)
    spend(member, 100, "gone")
    refund = said(give_back(purchase, 10_000))
    grant(member, 130, expires_at=now + 3 * DAY)
    assert figures(member)[:2] == (30, 0)

    take_back("refund", refund["id"])

    assert figures(member)[:2] == (130, 0) and left(member) == [0, 130]
    assert wrong() == []


def test_lots_that_paid_for_two_undone_refunds_are_each_filled_once(
    a_member, buy, give_back, take_back, now
):
    member = a_member()
    bought = [buy(member, receipt_no=f"R{n}") for n in (1, 2)]
    spend(member, 200, "gone")
    given_back = [said(give_back(each, 10_000))["id"] for each in bought]
    for days in (3, 4):
        grant(member, 100, expires_at=now + days * DAY)

    for refund in given_back:
        take_back("refund", refund)

    assert figures(member)[:2] == (200, 0) and left(member) == [0, 0, 100, 100]
    assert wrong() == []


def test_a_refund_can_be_made_again_after_it_was_undone(a_member, buy, give_back, take_back):
    member = a_member()
    purchase = buy(member)
    take_back("refund", said(give_back(purchase, 4_000))["id"])

    again = said(give_back(purchase, 4_000))

    assert again["points_taken"] == 40 and balance(member) == 60 and wrong() == []
    take_back("refund", again["id"])
    assert said(give_back(purchase, 10_000))["points_taken"] == 100


def test_of_two_refunds_the_last_is_undone_first(a_member, buy, give_back, take_back):
    purchase = buy(a_member(), 1_000)
    first, last = (said(give_back(purchase, 333))["id"] for _ in range(2))

    with pytest.raises(LaterRefundStands):
        take_back("refund", first)

    take_back("refund", last)
    take_back("refund", first)
    assert one(Purchase.refunded_fen, Purchase.id == purchase) == 0 and wrong() == []


def test_a_receipt_with_a_refund_is_not_undone_and_an_undone_one_not_refunded(
    a_member, buy, give_back, take_back
):
    purchase = buy(a_member())
    refund = said(give_back(purchase, 2_500))["id"]

    with pytest.raises(RefundsStand) as refusal:
        take_back("purchase", purchase)

    assert refusal.value.details["refunded_yuan"] == "25.00"
    take_back("refund", refund)
    take_back("purchase", purchase)
    with pytest.raises(PurchaseUndone):
        give_back(purchase, 100)
    assert wrong() == []


@pytest.mark.covers("G4", "G3")
def test_an_undone_hand_over_makes_the_voucher_good_again(hand_over, take_back):
    voucher, use = hand_over

    take_back("voucher_use", voucher)

    found = db_voucher(voucher)
    assert (found.state, found.used_at, found.used_staff_id) == ("issued", None, None)
    assert one(Redemption.state, Redemption.id == found.redemption_id) == "issued"
    assert use().status == 200 and count(TillAction, TillAction.ref_id == voucher) == 2
    assert wrong() == []


def test_a_voucher_past_its_end_comes_back_with_grace(hand_over, take_back, tune, now):
    voucher, _ = hand_over
    late = one(Voucher.expires_at, Voucher.id == voucher) + DAY
    tune("give_back_grace_days", 3)

    take_back("voucher_use", voucher, by="manager-a", at=late)

    assert one(Voucher.expires_at, Voucher.id == voucher) == late + 3 * DAY


@pytest.mark.covers("G4")
def test_the_window_is_the_clerks_and_the_manager_may_later(a_member, buy, take_back, tune, now):
    tune("undo_window_minutes", 10)
    last, late = buy(a_member(), receipt_no="R1"), buy(a_member(), receipt_no="R2")

    take_back("purchase", last, at=now + 10 * MINUTE - timedelta(microseconds=1))
    with pytest.raises(UndoTooLate) as refusal:
        take_back("purchase", late, at=now + 10 * MINUTE)

    assert refusal.value.details == {
        "minutes": 10,
        "until": clock.rfc3339(now + 10 * MINUTE),
    }
    assert take_back("purchase", late, by="manager-a", at=now + 99 * DAY).status == 200


def test_nobody_undoes_what_another_did_but_the_stores_manager(
    a_member, buy, take_back, hired, stores, now
):
    purchase = buy(a_member())
    hired["manager-b"] = staff.hire(
        username="manager-b",
        name="manager-b",
        password="a long password",
        role="manager",
        store_id=stores["B"],
        now=now,
    )

    for stranger in ("clerk-b", "manager-b"):
        with pytest.raises(NotFound):
            take_back("purchase", purchase, by=stranger)

    assert take_back("purchase", purchase, by="manager-a").status == 200


@pytest.mark.covers("G4")
def test_undoing_counts_once_whoever_asks_again(a_member, buy, take_back):
    member, key = a_member(), a_key(route=ROUTE)
    purchase = buy(member)
    take_back("purchase", purchase, key=key)

    with pytest.raises(Replayed) as twin:
        take_back("purchase", purchase, key=key)
    with pytest.raises(AlreadyUndone) as refusal:
        take_back("purchase", purchase)

    assert said(twin.value.answer)["points"] == -100
    assert refusal.value.details["by"] == "clerk-a"
    assert [kind for kind, *_ in entries(member)] == ["purchase", "undo_purchase"]
    assert count(Event, Event.kind == "undone") == 1


@pytest.mark.covers("G4")
def test_undo_and_refund_of_one_receipt_at_the_same_moment(
    app, a_member, buy, give_back, take_back
):
    for number in range(5):
        member = a_member()
        purchase = buy(member, receipt_no=f"R{number}")
        works = [lambda p=purchase: take_back("purchase", p)] * 2
        works += [lambda p=purchase: give_back(p, 10_000)] * 2

        outcomes = together(app, works)

        won = [each for each in outcomes if not isinstance(each, Exception)]
        refused = {type(each) for each in outcomes if isinstance(each, Exception)}
        assert len(won) == 1, outcomes
        assert refused <= {AlreadyUndone, RefundsStand, PurchaseUndone, refunds.RefundTooLarge}
        assert figures(member)[:3] == (0, 0, 0) and wrong() == []


def test_a_promise_of_an_undone_receipt_is_nobodys(a_member, buy, take_back, now):
    from mall.points import Cause, Promise, promise_many

    member = a_member()
    purchase = buy(member)
    cause = Cause("purchase_later", "purchase", str(purchase), "system")
    with book_of(member):
        promise_many([Promise(member, 70, cause, now + DAY)], now=now)

    take_back("purchase", purchase)

    assert one(Account.pending_points, Account.member_id == member) == 0 and wrong() == []


def test_points_that_were_still_to_come_are_promised_again_or_granted(
    a_member, buy, give_back, take_back, hired, now
):
    rule = {"rate": {"points": 1, "per_fen": 100, "rounding": "full_units"}}
    publish("purchase", {**rule, "award": "later", "award_after_days": 7}, hired)
    member = a_member()
    purchase = buy(member)
    refund = said(give_back(purchase, 10_000))
    assert (figures(member)[0], pending(member)) == (0, 0) and refund["points_taken"] == 100

    take_back("refund", refund["id"])

    assert (figures(member)[0], pending(member)) == (0, 100) and wrong() == []
    take_back("purchase", purchase)
    assert (figures(member)[0], pending(member)) == (0, 0) and wrong() == []


def pending(member):
    return one(Account.pending_points, Account.member_id == member)


def publish(code, terms, hired):
    """Put a version of a rule in force, past its own route."""
    version = max(version for (version,) in rows(EarningRule.version)) + 1
    at = clock.now() - MINUTE
    columns = {"name": code, "kind": "base", "trigger_kind": "purchase", "priority": 0}
    stamps = {"created_at": at, "published_at": at, "published_by": hired["admin"]}
    row = {**columns, **stamps, "code": code, "version": version, "terms": terms}
    by_hand(sa.insert(EarningRule).values(**row, active=True, growth_per_yuan=1))


@pytest.fixture
def capped(hired):
    """A point for each yuan, 120 a day."""
    rate = {"points": 1, "per_fen": 100, "rounding": "full_units"}
    publish("purchase", {"rate": rate, "caps": {"day": 120}}, hired)


def had(member):
    """Points of a member that count towards the day's cap."""
    return one(EarningCounter.points, EarningCounter.member_id == member)


@pytest.mark.covers("C2")
def test_what_an_undone_receipt_had_of_a_cap_can_be_earned_again(a_member, buy, take_back, capped):
    member = a_member()
    purchase = buy(member, 10_000, "R1")

    take_back("purchase", purchase)
    buy(member, 50_000, "R2")

    assert balance(member) == 120 and wrong() == []


@pytest.mark.covers("C2", "C12")
def test_what_a_refund_took_of_a_cap_can_be_earned_again(a_member, buy, give_back, capped):
    member = a_member()
    first = buy(member, 30_000, "R1")

    give_back(first, 10_000)
    seen = [(balance(member), had(member))]
    give_back(first, 20_000)
    seen.append((balance(member), had(member)))
    buy(member, 50_000, "R2")

    assert seen == [(80, 80), (0, 0)]
    assert balance(member) == 120 and wrong() == []


@pytest.mark.covers("C2", "C12")
def test_parts_of_a_refund_leave_no_trace_at_a_cap(a_member, buy, give_back, take_back, capped):
    member = a_member()
    bill = buy(member, 7_700, "R1")
    parts = [said(give_back(bill, fen))["id"] for fen in (1_001, 999, 3, 2_345)]
    left = had(member)

    for part in reversed(parts):
        take_back("refund", part)
    again = had(member)
    for fen in (2_345, 3, 999, 1_001, 3_352):
        give_back(bill, fen)

    assert (left, again, had(member)) == (balance_of(7_700 - 4_348), 77, 0) and wrong() == []


def balance_of(left_fen):
    return 77 * left_fen // 7_700


@pytest.mark.covers("C2")
def test_points_a_refund_forgave_have_used_the_cap(a_member, buy, give_back, tune, capped):
    tune("refund_shortfall", "forgive")
    member = a_member()
    bill = buy(member, 10_000, "R1")
    spend(member, 70, "spent")

    give_back(bill, 10_000)

    assert (balance(member), had(member)) == (0, 70) and wrong() == []


@pytest.mark.covers("B3")
def test_a_receipt_whose_points_a_tier_multiplied_can_be_undone(a_member, buy, take_back, hired):
    version = tiers.perks.find("base")["version"]
    who, twice = hired["admin"], {"points_percent": 200}
    tiers.perks.change("base", twice, version=version, staff_id=who, now=clock.now())
    member = a_member()
    bill = buy(member, 10_000, "R1")
    multiplied = balance(member)

    take_back("purchase", bill)

    assert multiplied == 200 and balance(member) == 0 and wrong() == []
