"""The nightly order: activate, review, expire, review again; another order gives another result."""

import itertools

import pytest
import sqlalchemy as sa

from mall import jobs, points, tiers
from mall.atomic import atomic
from mall.points import Promise
from models import Account
from tests.makers import points_live
from tests.mall.books import DAY, a_cause, balance, by_hand, entries, give, lots, wrong

RICH = 100


@pytest.fixture
def moves(monkeypatch):
    """Reviews by balance: gold from so many points on. What they moved, in order."""
    found = []

    def review(*, now):
        account = Account.__table__
        gold = sa.case((account.c.balance_points >= RICH, "gold"), else_="base")
        rows = by_hand_returning(
            sa.update(account)
            .where(account.c.tier_code != gold)
            .values(tier_code=gold)
            .returning(account.c.tier_code)
        )
        found.extend(rows)
        return len(rows)

    monkeypatch.setattr(tiers, "review", review, raising=False)
    return found


def by_hand_returning(statement):
    with atomic() as transaction:
        return [row[0] for row in transaction.execute(statement)]


@pytest.fixture
def tonight(app, a_member, now):
    """A member with 80 points, of which 50 end tonight, and 40 that come due; answers the id."""
    member = a_member()
    points_live({"gold": {"kind": "never"}}, kind="rolling", lasts=9, unit="day")
    give(member, 50, "old", expires_at=now + DAY, now=now)
    give(member, 30, "kept", expires_at=now + 99 * DAY, now=now)
    points.promise_many([Promise(member, 40, a_cause("due", "referral"), now + DAY)], now=now)
    app.config["CLOCK_OFFSET_S"] = 2 * 86_400
    return member


@pytest.mark.covers("C9", "B5")
def test_a_night_goes_in_its_order(tonight, moves):
    done = jobs.nightly()

    assert moves == ["gold", "base"] and done == 1 + 1 + 50 + 1
    assert [kind for kind, *_ in entries(tonight)][2:] == ["referral", "expire"]
    assert (balance(tonight), wrong()) == (70, [])


ORDERS = [
    order
    for order in itertools.permutations(("activate-pending", "review-tiers", "expire-points"))
    if order != jobs.NIGHTLY[:3]
]


@pytest.mark.parametrize("order", [*ORDERS, jobs.NIGHTLY[:3]], ids=str)
def test_another_order_gives_another_result(order, tonight, moves):
    for name in order:
        jobs.JOBS[name][0]()

    assert moves != ["gold", "base"]


def test_what_comes_due_is_granted_under_the_tier_held_till_then(tonight, moves):
    by_hand(sa.update(Account).values(tier_code="gold"))
    by_hand(sa.text("UPDATE pending_grants SET points = 5"))
    by_hand(sa.text("UPDATE accounts SET pending_points = 5"))

    jobs.nightly()

    assert moves == ["base"] and lots(tonight)[2] == (5, None)


def test_twice_or_late_is_once_and_in_time(tonight, moves, app):
    jobs.nightly()
    app.config["CLOCK_OFFSET_S"] = 4 * 86_400

    assert jobs.nightly() == 0
    assert balance(tonight) == 70 and len(moves) == 2


def test_a_step_that_fails_keeps_those_behind_it_waiting(tonight, moves, monkeypatch):
    def fail(*, now):
        raise RuntimeError("no review tonight")

    monkeypatch.setattr(tiers, "review", fail, raising=False)
    with pytest.raises(RuntimeError):
        jobs.nightly()

    assert balance(tonight) == 120


def test_each_step_is_a_job_of_its_own():
    assert jobs.NIGHTLY == ("activate-pending", "review-tiers", "expire-points", "review-tiers")
    assert set(jobs.NIGHTLY) < set(jobs.JOBS)
