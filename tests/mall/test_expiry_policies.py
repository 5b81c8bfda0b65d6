"""Policies of expiry: by tier, kept by lots, moved by what members do; and what a draft would mean."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import checkins, clock, expiry_policies, points, purchases, redemptions, referrals
from mall.errors import Malformed, NotEnoughPoints
from mall.points import Promise
from mall.purchases import Receipt
from models import Account, Lot
from tests.makers import a_key, points_live
from tests.mall.books import (
    DAY,
    MOMENT,
    a_cause,
    book_of,
    by_hand,
    give,
    lots,
    rows,
    said,
    spend,
    wrong,
)

ROUTE = "POST /api/v1/admin/expiry-policies"
NEVER = {"kind": "never"}


@pytest.fixture
def buy(stores, now):
    def record(member, receipt_no="R1", amount_fen=10_000, at=now):
        receipt = Receipt(stores["A"], receipt_no, member, amount_fen, at)
        return purchases.record_receipts([receipt], now=at)[0].id

    return record


def idle(days, *resets):
    return points_live(kind="inactivity", days=days, resets=list(resets))


def ends(member):
    return [expires_at for _, expires_at in lots(member)]


def day_after(now, days):
    return clock.end_of_day(clock.business_day(now) + timedelta(days=days))


@pytest.mark.covers("C9")
def test_points_live_as_the_policy_of_the_tier_at_earning_says(a_member, buy, now):
    base, gold = a_member(), a_member()
    by_hand(sa.update(Account).where(Account.member_id == gold).values(tier_code="gold"))
    version = points_live({"gold": NEVER}, kind="rolling", lasts=30, unit="day")

    buy(base, "R1", 100), buy(gold, "R2", 100)
    by_hand(sa.update(Account).values(tier_code="base"))
    points_live(kind="rolling", lasts=1, unit="day")

    assert (ends(base), ends(gold)) == ([day_after(now, 30)], [None])
    assert rows(Lot.policy_version) == [(version,), (version,)] and version == 2


def test_points_promised_live_from_the_day_they_are_granted(a_member, now):
    member = a_member()
    points_live(kind="rolling", lasts=10, unit="day")
    promise = Promise(member, 5, a_cause("later", "referral"), now + 20 * DAY)
    points.promise_many([promise], now=now)

    referrals.reward_due(now=now + 20 * DAY)

    assert ends(member) == [day_after(now, 30)]


@pytest.mark.covers("C9")
@pytest.mark.parametrize("act", expiry_policies.ACTS)
def test_an_act_that_counts_moves_the_end_and_no_other_does(
    act, a_member, a_shelf, buy, redeem, now
):
    others = [each for each in expiry_policies.ACTS if each != act]
    later, reward = now + 10 * DAY, a_shelf()
    for resets in ([act], others):
        member = a_member()
        idle(90, *resets)
        with book_of(member, now=now) as book:
            book.earn(member, 50, a_cause(f"first-{resets}", "event"))
        if act == "check_in":
            points_live(kind="never")  # what the day itself earns ends never
            by_hand(sa.text("UPDATE checkin_rules SET points = 0, bonus_points = 0"))
            checkins.check_in(member, key=a_key(member, None), now=later)
        elif act == "purchase":
            buy(member, f"R-{member}", 99, later)  # a receipt that earns nothing
        elif act == "spend":
            redeem(member, reward, at=later)
        else:
            with book_of(member, now=later) as book:
                book.earn(member, 1, a_cause(f"more-{member}", "event"))

        kept = act in resets
        assert ends(member)[0] == day_after(later if kept else now, 90)
    assert wrong() == []


@pytest.mark.parametrize("held", [True, False])
def test_what_is_dead_stays_dead_however_late_the_act(held, a_member, buy, now):
    member, late = a_member(), now + 91 * DAY
    idle(90, "earn", "purchase", "spend")
    buy(member, "R1", 10_000)
    end = ends(member)[0]

    if held:
        with pytest.raises(NotEnoughPoints):
            spend(member, 1, "dead", now=end)
    else:
        buy(member, "R2", 100, late)

    assert points.expire_due(now=late) == 100
    assert ends(member)[0] == end == day_after(now, 90) and wrong() == []


def test_a_book_that_holds_its_lots_revives_none_either(a_member, buy, now):
    member, late = a_member(), now + 91 * DAY
    idle(90, "purchase")
    buy(member, "R1", 10_000)
    before = ends(member)

    with book_of(member, now=late) as book:
        book.act(member, "purchase")

    assert ends(member) == before and points.expire_due(now=late) == 100


def test_points_by_hand_and_another_versions_points_are_left_alone(a_member, buy, now):
    member = a_member()
    give(member, 7, "old", expires_at=now + 20 * DAY, now=now)
    idle(90, "earn")
    buy(member, "R1", 100)

    with book_of(member, now=now + 5 * DAY) as book:
        book.earn(member, 3, a_cause("by hand"))

    assert ends(member) == [now + 20 * DAY, day_after(now, 90), day_after(now + 5 * DAY, 90)]


def test_lots_of_an_older_version_are_moved_by_its_own_days(a_member, buy, now):
    member, later = a_member(), now + 5 * DAY
    idle(90, "purchase")
    buy(member, "R1", 100)
    idle(30, "purchase")
    buy(member, "R2", 100)

    buy(member, "R3", 99, later)

    assert ends(member) == [day_after(later, 90), day_after(later, 30)]


def test_spending_costs_no_look_at_policies(a_member, a_shelf, redeem, monkeypatch):
    member, reward = a_member(points=10), a_shelf()
    monkeypatch.setattr(expiry_policies, "in_force", None)

    assert redeem(member, reward).status == 201


def test_the_moment_of_the_end_is_the_first_that_is_over(a_member, now):
    member = a_member()
    points_live(kind="rolling", lasts=1, unit="day")
    with book_of(member, now=now) as book:
        book.earn(member, 5, a_cause("some", "event"))
    (end,) = ends(member)

    assert points.expire_due(now=end - MOMENT) == 0
    assert points.expire_due(now=end) == 5


# drafts


def preview(now, terms, **by_tier):
    values = {"terms": terms, "by_tier": by_tier, "remind_days": [30]}
    return said(expiry_policies.preview(values, key=a_key(route=ROUTE + "/previews"), now=now))


def told(ends_by_month):
    return {each["month"]: (each["points"], each["members"]) for each in ends_by_month}


def month_of(end):
    return f"{clock.last_day_before(end):%Y-%m}"


@pytest.mark.covers("C9")
def test_a_preview_says_whose_points_would_end_when_and_changes_nothing(a_member, buy, now):
    first, second, gold = a_member(), a_member(), a_member()
    by_hand(sa.update(Account).where(Account.member_id == gold).values(tier_code="gold"))
    buy(first, "R1", 1_000), buy(second, "R2", 2_000), buy(gold, "R3", 4_000)
    give(first, 5, "soon", expires_at=now + DAY, now=now)
    before = ends(first)

    seen = preview(now, {"kind": "rolling", "lasts": 3, "unit": "day"}, gold=NEVER)

    year = month_of(clock.end_of_month_after(now, 12))
    tomorrow, soon = month_of(now + DAY), month_of(day_after(now, 3))
    assert told(seen["now"]) == {year: (70, 3), tomorrow: (5, 1)}
    assert told(seen["draft"]) == {soon: (35, 2), "never": (40, 1)}
    assert (seen["lots"], ends(first)) == (4, before)


def test_a_preview_of_inactivity_knows_when_members_last_did_something(
    a_member, a_shelf, buy, redeem, now
):
    quiet, spender = a_member(), a_member()
    buy(quiet, "R1", 1_000), buy(spender, "R2", 1_000)
    later = now + 45 * DAY
    redeem(spender, a_shelf(), at=later)

    seen = preview(later, {"kind": "inactivity", "days": 90, "resets": ["spend"]})

    quiet_month, spent_month = month_of(day_after(now, 90)), month_of(day_after(later, 90))
    assert told(seen["draft"]) == {quiet_month: (10, 1), spent_month: (9, 1)}


def test_a_preview_reads_a_bounded_number_of_lots_at_a_time(a_member, now, monkeypatch):
    monkeypatch.setitem(expiry_policies.preview.__globals__, "READ_AT_ONCE", 2)
    for n in range(5):
        give(a_member(), 10, f"g{n}", expires_at=None, now=now)

    seen = preview(now, NEVER)

    assert told(seen["now"]) == told(seen["draft"]) == {"never": (50, 5)}


def test_a_policy_names_tiers_that_are_there(app, now):
    values = {"terms": NEVER, "by_tier": {"nobody": NEVER}, "remind_days": [], "note": ""}

    with pytest.raises(Malformed):
        expiry_policies.publish(values, staff_id=None, key=a_key(route=ROUTE), now=now)

    assert expiry_policies.in_force().version == 1


def test_a_redemption_that_is_cancelled_keeps_the_lots_life(a_member, a_shelf, buy, redeem, now):
    member = a_member()
    idle(90, "spend")
    buy(member, "R1", 1_000)
    later = now + 7 * DAY
    trade = said(redeem(member, a_shelf(), at=later))["id"]

    redemptions.cancel(member, trade, key=a_key(member), now=later + DAY)

    assert lots(member) == [(10, day_after(later, 90))] and wrong() == []
