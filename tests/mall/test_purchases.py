"""Purchases: a receipt earns once, whole yuan only, and growth lifts the tier in the same breath."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mall import clock, earning, purchases, tiers
from mall.errors import MemberClosed, NotFound, ReceiptKnown
from mall.idempotency import Answer, Replayed
from mall.purchases import Receipt
from models import (
    Account,
    EarningRule,
    Event,
    GrowthEntry,
    LedgerEntry,
    Lot,
    Purchase,
    Tier,
    TierChange,
)
from tests.makers import a_key, points_last_months
from tests.mall.books import (
    DAY,
    MOMENT,
    balance,
    by_hand,
    count,
    entries,
    one,
    rows,
    said,
    spend,
    wrong,
)
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def buy(stores, hired, now):
    """Show a receipt at store A, unless told otherwise."""

    def show(member, amount_fen, receipt_no="r-1", *, store="A", key=None, at=now):
        who = hired[f"clerk-{store.lower()}"]
        receipt = Receipt(stores[store], receipt_no, member, amount_fen, at, staff_id=who)
        return purchases.record_one(receipt, key=key or a_key(None, None), now=at)

    return show


def rule(now, *, points_per_yuan=1, min_amount_fen=0):
    """Publish the next version of the rule for purchases."""
    rate = {"points": points_per_yuan, "per_fen": 100, "rounding": "full_units"}
    row = {
        "code": "purchase",
        "version": one(sa.func.max(EarningRule.version)) + 1,
        "name": "消费积分",
        "kind": "base",
        "trigger_kind": "purchase",
        "priority": 0,
        "active": True,
        "terms": {"rate": rate, "min_amount_fen": min_amount_fen},
        "growth_per_yuan": 1,
        "created_at": now,
        "published_at": now,
    }
    by_hand(sa.insert(EarningRule).values(**row))


def growth(member):
    return one(Account.growth_value, Account.member_id == member)


def tier(member):
    return one(Account.tier_code, Account.member_id == member)


# points


@pytest.mark.covers("C1")
@pytest.mark.parametrize(
    ("amount_fen", "points"),
    [(19_990, 199), (19_999, 199), (20_000, 200), (100, 1), (99, 0), (1, 0)],
)
def test_only_whole_yuan_earn(a_member, buy, amount_fen, points):
    """PEERS 27: points rounded up pay for money never spent."""
    member = a_member()

    answer = said(buy(member, amount_fen))

    (line,) = answer.pop("lines")
    assert answer == {
        "id": one(Purchase.id),
        "points_awarded": points,
        "awaits_pickup": False,
        "points_pending_until": None,
        "growth_awarded": points,
        "balance_after": points,
    }
    why = "earned" if points else "too_small"
    assert (line["rule"], line["points"], line["why"]) == ("消费积分@1", points, why)
    assert line["reason"] == (
        f"消费 ¥{amount_fen / 100:.2f} 按此规则计分"
        if points
        else f"满 ¥1.00 起得积分，本单 ¥{amount_fen / 100:.2f}，还差 ¥{1 - amount_fen / 100:.2f}"
    )
    assert (balance(member), growth(member)) == (points, points)
    assert wrong() == []


@pytest.mark.parametrize(("amount_fen", "points"), [(4_999, 0), (5_000, 100), (5_050, 100)])
def test_a_bill_below_the_least_earns_nothing_and_is_in_the_books(
    a_member, buy, now, amount_fen, points
):
    rule(now, points_per_yuan=2, min_amount_fen=5_000)
    member = a_member()

    buy(member, amount_fen)

    assert balance(member) == points and count(Purchase) == 1


@pytest.mark.covers("C8")
def test_an_entry_keeps_the_version_of_the_rule_that_made_it(a_member, buy, now):
    member = a_member()
    buy(member, 10_000, "before")
    rule(now, points_per_yuan=3)
    buy(member, 10_000, "after")

    assert rows(LedgerEntry.rule, LedgerEntry.delta_points, order=LedgerEntry.seq) == [
        ("消费积分@1", 100),
        ("消费积分@2", 300),
    ]


def test_a_rule_is_in_force_from_the_moment_it_is_published(app, now):
    rule(now + DAY, points_per_yuan=3)

    for at, version in ((now + DAY - MOMENT, 1), (now + DAY, 2)):
        assert [each.version for each in earning.in_force(now=at)] == [version]
    assert earning.in_force(now=now, triggers=["event"]) == []


def test_a_shop_without_a_rule_records_and_awards_nothing(a_member, buy):
    by_hand(sa.delete(EarningRule))
    member = a_member()

    answer = said(buy(member, 10_000))

    assert (answer["points_awarded"], answer["lines"]) == (0, [])
    assert rows(Purchase.points_awarded, Purchase.growth_awarded) == [(0, 100)]  # tiers have own


def test_an_entry_says_where_by_whom_and_for_which_receipt(a_member, buy, stores, hired):
    buy(a_member(), 10_000)

    entry = LedgerEntry
    columns = (entry.kind, entry.ref_kind, entry.ref_id, entry.actor, entry.store_id)
    assert rows(*columns) == [
        ("purchase", "purchase", str(one(Purchase.id)), f"staff:{hired['clerk-a']}", stores["A"])
    ]


def test_points_expire_as_the_shop_says(a_member, buy, now):
    member = a_member()
    buy(member, 100, "a year")
    points_last_months(1)
    buy(member, 100, "a month")
    points_last_months(0)
    buy(member, 100, "for ever")

    assert [end for (end,) in rows(Lot.expires_at, order=Lot.id)] == [
        clock.end_of_month_after(now, 12),
        clock.end_of_month_after(now, 1),
        None,
    ]


# once


@pytest.mark.covers("G2")
def test_one_receipt_of_one_store_earns_once_and_says_who_showed_it_when(a_member, buy, hired, now):
    """PEERS 11: a payment told twice is credited twice."""
    member, other = a_member(), a_member()
    buy(member, 10_000)

    for again in (member, other):
        with pytest.raises(ReceiptKnown) as refusal:
            buy(again, 10_000)
        assert refusal.value.details == {"at": clock.rfc3339(now), "by": "clerk-a"}

    assert (balance(member), balance(other)) == (100, 0)
    assert count(Purchase) == 1 and count(Event, Event.kind == "purchased") == 1
    assert wrong() == []


def test_another_store_has_receipt_numbers_of_its_own(a_member, buy):
    member = a_member()
    buy(member, 10_000, store="A")
    buy(member, 10_000, store="B")

    assert balance(member) == 200


def test_one_receipt_shown_twenty_times_at_once_earns_once(app, a_member, buy):
    members = [a_member() for _ in range(4)]

    outcomes = together(app, [lambda n=n: buy(members[n % 4], 10_000) for n in range(20)])

    kinds = sorted(type(each).__name__ for each in outcomes)
    assert kinds == ["Answer"] + ["ReceiptKnown"] * 19
    assert sum(balance(member) for member in members) == 100
    assert wrong() == []


def test_a_till_that_lost_the_answer_is_told_it_again(a_member, buy):
    member, key = a_member(), a_key(route="POST /clerk/purchases")
    first = buy(member, 10_000, key=key)

    with pytest.raises(Replayed) as twin:
        buy(member, 10_000, key=key)

    assert twin.value.answer.body == first.body and balance(member) == 100


def test_of_receipts_in_one_batch_each_counts_once(a_member, stores, now):
    member, other = a_member(), a_member()
    receipts = [
        Receipt(stores["A"], "r-1", member, 1_000, now),
        Receipt(stores["B"], "r-1", member, 2_000, now),
        Receipt(stores["A"], "r-1", other, 4_000, now),
        Receipt(stores["A"], "r-2", other, 8_000, now),
    ]

    recorded = purchases.record_receipts(receipts, now=now)
    again = purchases.record_receipts(receipts, now=now)

    assert [each.awarded.points for each in recorded] == [10, 20, 80] and again == []
    assert (balance(member), balance(other)) == (30, 80)
    assert purchases.record_receipts([], now=now) == []
    assert wrong() == []


def test_the_database_itself_refuses_a_second_row_of_one_receipt(a_member, buy, stores, now):
    member = a_member()
    buy(member, 10_000)
    row = {"store_id": stores["A"], "receipt_no": "r-1", "member_id": member, "amount_fen": 1}
    rest = {"channel": "till", "items": [], "points_awarded": 0, "growth_awarded": 0}

    with pytest.raises(IntegrityError):
        by_hand(sa.insert(Purchase).values(**row, **rest, paid_at=now, created_at=now))


def test_a_receipt_of_nobody_or_of_a_closed_member_leaves_nothing(a_member, buy):
    member = a_member()
    by_hand(sa.update(Account).values(state="closed"))

    with pytest.raises(MemberClosed):
        buy(member, 10_000)
    with pytest.raises(NotFound):
        buy(404, 10_000)

    assert count(Purchase) == 0


@pytest.mark.parametrize("amount_fen", [0, -100])
def test_the_database_itself_refuses_a_bill_below_one_fen(a_member, buy, amount_fen):
    with pytest.raises(IntegrityError):
        buy(a_member(), amount_fen)


# growth and tiers


@pytest.mark.covers("B3", "B4", "B1")
def test_reaching_a_threshold_lifts_the_tier_in_the_same_transaction(a_member, buy, now):
    """PEERS 27: a jump over two tiers opened both, and the last row read won, not the highest."""
    member = a_member()
    buy(member, 99_900, "just short")
    assert (growth(member), tier(member), count(TierChange)) == (999, "base", 0)

    buy(member, 500_000, "over two at once")

    change = TierChange
    columns = (change.member_id, change.tier_before, change.tier_after, change.reason)
    assert (growth(member), tier(member)) == (5_999, "gold")
    assert rows(*columns, change.changed_at) == [(member, "base", "gold", "purchase", now)]
    assert rows(GrowthEntry.delta_value, GrowthEntry.value_after, order=GrowthEntry.id) == [
        (999, 999),
        (5_000, 5_999),
    ]
    assert wrong() == []


def test_a_threshold_is_reached_by_its_very_number(a_member, buy):
    member = a_member()

    buy(member, 100_000)

    assert tier(member) == "silver"


def test_a_receipt_shown_again_does_not_grow_again(a_member, buy):
    member = a_member()
    buy(member, 10_000)
    with pytest.raises(ReceiptKnown):
        buy(member, 10_000)

    assert growth(member) == 100 and count(GrowthEntry) == 1


@pytest.mark.covers("B3")
def test_spending_points_never_lowers_growth_or_tier(a_member, buy):
    """PEERS 30: a level by the points that are left falls when they are spent."""
    member = a_member()
    buy(member, 100_000)

    spend(member, 1_000, "everything")

    assert (balance(member), growth(member), tier(member)) == (0, 1_000, "silver")


def test_a_tier_given_by_hand_is_not_taken_away_by_the_next_purchase(a_member, buy):
    """PEERS 13, 16: a recomputed level overwrites the one an admin gave."""
    member = a_member()
    by_hand(sa.update(Account).values(tier_code="diamond"))

    buy(member, 100_000)

    assert (growth(member), tier(member), count(TierChange)) == (1_000, "diamond", 0)


def test_parallel_purchases_all_count_towards_growth(app, a_member, buy):
    """PEERS 16, 24: growth read, added to in memory and written back loses one of two."""
    member = a_member()

    outcomes = together(app, [lambda n=n: buy(member, 10_000, f"r-{n}") for n in range(12)])

    assert all(isinstance(each, Answer) for each in outcomes)
    assert (balance(member), growth(member), tier(member)) == (1_200, 1_200, "silver")
    assert count(TierChange) == 1 and wrong() == []


def test_growth_of_several_members_is_written_together(a_member, stores, now):
    members = [a_member() for _ in range(3)]
    receipts = [
        Receipt(stores["A"], f"r-{n}", member, amount, now)
        for n, (member, amount) in enumerate(zip(members, (99, 60_000, 600_000), strict=True))
    ]
    receipts.append(Receipt(stores["A"], "r-9", members[1], 50_000, now))

    purchases.record_receipts(receipts, now=now)

    assert [(growth(each), tier(each)) for each in members] == [
        (0, "base"),
        (1_100, "silver"),
        (6_000, "gold"),
    ]
    assert wrong() == []


def test_the_next_tier_is_the_rules_own(app):
    ladder = tiers.ladder()

    assert [each.code for each in ladder] == ["base", "silver", "gold", "diamond"]
    assert tiers.above(ladder, 999).code == "silver" and tiers.above(ladder, 1_000).code == "gold"
    assert tiers.above(ladder, 20_000) is None
    assert tiers.reached(ladder, 0).code == "base"


def test_a_tier_is_found_by_its_growth_whatever_the_order_of_rows(a_member, buy):
    by_hand(sa.insert(Tier).values(code="bronze", name="铜卡会员", growth_min=10))
    member = a_member()

    buy(member, 2_000)

    assert tier(member) == "bronze"


def test_a_growth_of_nothing_leaves_nothing(a_member, buy, now):
    buy(a_member(), 50)
    tiers.grow_many([], now=now)

    assert count(GrowthEntry) == 0


def test_a_member_without_an_entry_has_no_receipt_either(a_member, buy):
    member = a_member()
    buy(member, 50)

    assert entries(member) == [] and count(Purchase) == 1


@pytest.mark.covers("C13")
def test_an_entry_names_the_rule_and_its_version(a_member, stores, now):
    receipt = Receipt(stores["A"], "versioned", a_member(), 10_000, now)

    purchases.record_receipts([receipt], now=now)

    assert rows(LedgerEntry.rule, LedgerEntry.rule_version) == [("消费积分@1", 1)]
