"""Points that wait until what was bought is picked up."""

import pytest

from mall import earning, jobs, merges, pickups, points, purchases, refunds
from mall.errors import NotFound, NothingAwaitsPickup
from mall.purchases import Receipt
from models import Account
from tests.makers import a_key
from tests.mall.books import balance, clerk, one, said, wrong
from tests.mall.tier_books import day, days
from tests.mall.together import together

NOW = day("2027-01-10")


@pytest.fixture
def collected(hired):
    """A shop that gives points for orders when they are picked up."""
    blank = dict.fromkeys(("matches", "excluded_categories", "excluded_skus"), [])
    values = {"code": "purchase", "name": "消费", "kind": "base", "trigger": "purchase", **blank}
    values |= {"priority": 0, "active": True, "min_amount_fen": 0, "award": "pickup"}
    values["rate"] = {"points": 1, "per_fen": 100, "rounding": "full_units"}
    who = {"staff_id": hired["admin"], "key": a_key(route="rule")}
    earning.write(values, publish=True, **who, now=NOW)


@pytest.fixture
def order(collected, a_member, stores, hired):
    """Record an order of ¥100; answers its member and its id."""

    def record(*, awaits_pickup=True):
        member, who = a_member(), hired["clerk-a"]
        receipt = Receipt(
            *(stores["A"], f"p-{member}", member, 10_000, NOW),
            staff_id=who,
            awaits_pickup=awaits_pickup,
        )
        done = said(purchases.record_one(receipt, key=a_key(route="buy"), now=NOW))
        return member, done

    return record


@pytest.fixture
def pick_up(hired):
    def call(purchase_id, *, by="clerk-a", at=NOW):
        key = a_key(route="pickup")
        return said(pickups.pick_up(purchase_id, clerk=clerk(hired[by]), key=key, now=at))

    return call


def pending(member):
    return one(Account.pending_points, Account.member_id == member)


@pytest.mark.covers("C7")
def test_points_of_an_order_come_when_it_is_picked_up_and_once(order, pick_up):
    member, done = order()
    waiting = balance(member), pending(member), done["awaits_pickup"], done["points_awarded"]

    points.activate_due(now=NOW + days(400))
    late = balance(member)
    got = pick_up(done["id"], at=NOW + days(3))

    assert (waiting, late) == ((0, 100, True, 100), 0)
    assert got == {"points_awarded": 100, "balance_after": 100}
    assert (balance(member), pending(member)) == (100, 0)
    with pytest.raises(NothingAwaitsPickup):
        pick_up(done["id"])
    assert wrong() == []


def test_what_is_taken_along_is_paid_at_once(order, pick_up):
    member, done = order(awaits_pickup=False)

    assert (balance(member), pending(member), done["awaits_pickup"]) == (100, 0, False)
    with pytest.raises(NothingAwaitsPickup):
        pick_up(done["id"])


def test_what_was_refunded_before_the_pickup_is_not_given(order, pick_up, hired):
    member, done = order()
    who = {"clerk": clerk(hired["clerk-a"]), "key": a_key(route="refund")}
    refunds.refund(done["id"], 4_000, **who, now=NOW)

    assert pick_up(done["id"])["points_awarded"] == 60
    assert (balance(member), pending(member)) == (60, 0) and wrong() == []


def test_an_order_that_was_wholly_refunded_gives_nothing(order, pick_up, hired):
    member, done = order()
    who = {"clerk": clerk(hired["clerk-a"]), "key": a_key(route="refund")}
    refunds.refund(done["id"], 10_000, **who, now=NOW)

    with pytest.raises(NothingAwaitsPickup):
        pick_up(done["id"])
    assert (balance(member), pending(member)) == (0, 0)


def test_another_stores_order_is_not_there(order, pick_up):
    _, done = order()

    for purchase in (done["id"], 404):
        with pytest.raises(NotFound):
            pick_up(purchase, by="clerk-b" if purchase != 404 else "clerk-a")


def test_many_pickups_at_once_give_once(app, order, pick_up):
    member, done = order()

    outcomes = together(app, [lambda: pick_up(done["id"])] * 6)

    assert sum(isinstance(each, NothingAwaitsPickup) for each in outcomes) == 5
    assert balance(member) == 100 and wrong() == []


def test_an_order_of_a_merged_member_is_picked_up_by_the_one_they_became(order, pick_up, a_member):
    member, done = order()
    into = a_member()
    merges.merge(into, member, "同一人", actor="staff:1", key=a_key(route="m"), now=NOW)

    assert pick_up(done["id"]) == {"points_awarded": 100, "balance_after": 100}
    assert balance(into) == 100 and jobs.JOBS["activate-pending"][0]() == 0
