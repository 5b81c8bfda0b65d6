"""Points campaigns: the preview is the run, once each, within the budget, by two people if large."""

import itertools
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from mall import campaigns, clock, merges, purchases
from mall.campaigns import give
from mall.errors import (
    AlreadyReviewed,
    NobodyChosen,
    NotFound,
    NotPreviewed,
    OverBudget,
    ReviewerIsAuthor,
)
from mall.purchases import Receipt
from mall.segments import audience
from models import Account, LedgerEntry, Member, PointsCampaign, db
from tests.makers import a_key
from tests.mall.books import DAY, balance, by_hand, count, entries, one, rows, said, wrong
from tests.mall.together import together

ROUTE = "POST /api/v1/admin/points-campaigns/1/run"
_number = itertools.count(1)


@pytest.fixture
def admin(hired):
    return hired["admin"]


@pytest.fixture
def draft(admin, now):
    def make(points=10, budget=1_000, **filters):
        values = {"name": "关怀", "points": points, "budget_points": budget, "filters": filters}
        return said(campaigns.draft(values, staff_id=admin, key=a_key(route=ROUTE), now=now))["id"]

    return make


@pytest.fixture
def preview(now):
    return lambda id_: said(campaigns.preview(id_, key=a_key(route=ROUTE), now=now))


@pytest.fixture
def run(admin, now):
    def ask(id_, by=admin):
        return campaigns.run(id_, staff_id=by, key=a_key(route=ROUTE), now=now)

    return ask


@pytest.fixture
def review(hired, now):
    def decide(id_, by="owner", approved=True):
        who = hired[by]
        key = a_key(route=ROUTE)
        return said(campaigns.review(id_, approved=approved, staff_id=who, key=key, now=now))

    return decide


@pytest.fixture
def give_all(now):
    def work():
        done = list(iter(lambda: campaigns.give_batch(now=now), 0))
        return sum(done)

    return work


def figures(id_):
    names = ("state", "members", "cost_points", "members_given", "members_skipped")
    columns = [getattr(PointsCampaign, name) for name in names]
    (row,) = rows(*columns, where=[PointsCampaign.id == id_])
    return row


@pytest.mark.covers("C11")
def test_a_run_gives_what_the_preview_said_and_a_second_gives_nothing(
    a_member, draft, preview, run, give_all, monkeypatch
):
    monkeypatch.setattr(give, "GIVEN_AT_ONCE", 2)
    members, campaign = [a_member() for _ in range(5)], draft()

    told = preview(campaign)
    run(campaign)
    late = a_member()
    give_all()

    assert (told["members"], told["cost_points"], told["cost_fen"]) == (5, 50, 50)
    assert [balance(each) for each in members] == [10] * 5 and balance(late) == 0
    assert figures(campaign) == ("done", 5, 50, 5, 0)
    assert give_all() == 0
    with pytest.raises(NotPreviewed) as refusal:
        run(campaign)
    assert refusal.value.details == {"state": "done"}
    assert entries(members[0]) == [("campaign", 10, 10)] and wrong() == []


@pytest.mark.covers("C11")
def test_a_run_that_was_stopped_anywhere_goes_on_and_gives_once(
    app, a_member, draft, preview, run, give_all, now, monkeypatch
):
    monkeypatch.setattr(give, "GIVEN_AT_ONCE", 2)
    members, campaign = [a_member() for _ in range(6)], draft()
    preview(campaign), run(campaign)
    campaigns.give_batch(now=now)
    written = give.points.Book.write
    monkeypatch.setattr(give.points.Book, "write", lambda book: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        campaigns.give_batch(now=now)
    monkeypatch.setattr(give.points.Book, "write", written)

    outcomes = together(app, [lambda: campaigns.give_batch(now=now)] * 4)
    give_all()
    assert not [each for each in outcomes if isinstance(each, Exception)]

    assert [balance(each) for each in members] == [10] * 6
    assert count(LedgerEntry, LedgerEntry.kind == "campaign") == 6
    assert figures(campaign) == ("done", 6, 60, 6, 0) and wrong() == []


@pytest.mark.covers("C11")
def test_more_than_the_budget_is_not_given(a_member, draft, preview, run, give_all):
    members, campaign = [a_member() for _ in range(3)], draft(points=10, budget=29)

    preview(campaign)
    with pytest.raises(OverBudget) as refusal:
        run(campaign)

    assert refusal.value.details == {"members": 3, "cost_points": 30, "short_by": 1}
    assert give_all() == 0 and [balance(each) for each in members] == [0] * 3


@pytest.mark.covers("C11", "C10")
def test_above_the_limit_a_second_person_decides(
    a_member, draft, preview, run, review, give_all, tune, hired
):
    tune("adjustment_limit_points", 20)
    members = [a_member() for _ in range(3)]
    campaign, refused, small = draft(), draft(), draft(points=6)
    for each in (campaign, refused, small):
        preview(each)

    assert (run(campaign).status, run(refused).status, run(small).status) == (202, 202, 200)
    with pytest.raises(ReviewerIsAuthor):
        review(campaign, by="admin")
    assert review(refused, approved=False)["state"] == "rejected"
    with pytest.raises(AlreadyReviewed):
        review(small)
    give_all()
    assert [balance(each) for each in members] == [6] * 3
    review(campaign)
    give_all()

    assert [balance(each) for each in members] == [16] * 3 and wrong() == []


def test_nothing_is_run_unseen_or_for_nobody(a_member, draft, preview, run):
    a_member()
    unseen, nobody = draft(), draft(city="火星")

    with pytest.raises(NotPreviewed):
        run(unseen)
    preview(nobody)
    with pytest.raises(NobodyChosen):
        run(nobody)
    with pytest.raises(NotFound):
        preview(999)


def test_a_preview_can_be_made_again_and_is_the_last_that_counts(a_member, draft, preview, run):
    a_member()
    campaign = draft()
    assert preview(campaign)["members"] == 1
    a_member()

    assert preview(campaign)["members"] == 2
    run(campaign)
    with pytest.raises(NotPreviewed):
        preview(campaign)


def test_who_left_meanwhile_is_passed_over_and_counted(
    a_member, draft, preview, run, give_all, now
):
    gone, twin, stays = a_member(), a_member(), a_member()
    campaign = draft()
    preview(campaign), run(campaign)
    by_hand(sa.update(Account).where(Account.member_id == gone).values(state="closed"))
    merges.merge(stays, twin, "同一人", actor="staff:1", key=a_key(route=ROUTE), now=now)

    give_all()

    assert figures(campaign) == ("done", 3, 30, 1, 2) and balance(stays) == 10
    assert wrong() == []


@pytest.mark.covers("C11")
def test_every_filter_finds_those_it_names_and_all_of_them_narrow(a_member, stores, now):
    today = clock.business_day(now)
    old = {"joined_at": now - 100 * DAY, "city": "上海", "gender": "female"}
    one_ = a_member(**old, birthday=date(1992, 2, 29))
    two = a_member(city="北京", birthday=date(1991, 12, 1))
    by_hand(sa.update(Account).where(Account.member_id == two).values(tier_code="gold"))
    frozen = a_member(**old)
    by_hand(sa.update(Account).where(Account.member_id == frozen).values(state="frozen"))
    for member, store, days in ((one_, "A", 50), (one_, "B", 9), (two, "B", 1)):
        receipt = Receipt(stores[store], f"R{next(_number)}", member, 100, now - days * DAY)
        purchases.record_receipts([receipt], now=now)
    ago = {days: (today - timedelta(days=days)).isoformat() for days in (1, 9, 10, 99, 100, 101)}

    found = {
        "all": who(),
        "tiers": who(tiers=["gold", "diamond"]),
        "joined": who(joined_from=ago[100], joined_until=ago[100]),
        "joined later": who(joined_from=ago[99]),
        "joined before": who(joined_until=ago[101]),
        "last purchase": who(last_purchase_from=ago[9], last_purchase_until=ago[9]),
        "no purchase since": who(last_purchase_until=ago[10]),
        "store": who(store_id=stores["A"]),
        "city": who(city="北京"),
        "gender": who(gender="female"),
        "birthday": who(birthday_month=2),
        "both": who(birthday_month=2, tiers=["gold"]),
    }

    assert found == {
        "all": {one_, two},
        "tiers": {two},
        "joined": {one_},
        "joined later": {two},
        "joined before": set(),
        "last purchase": {one_},
        "no purchase since": set(),
        "store": {one_},
        "city": {two},
        "gender": {one_},
        "birthday": {one_},
        "both": set(),
    }


def who(**filters):
    db.session.rollback()
    return set(db.session.scalars(audience(filters)))


def test_the_database_keeps_a_run_within_its_budget(a_member, draft, preview):
    a_member()
    campaign = draft(points=10, budget=10)
    preview(campaign)

    with pytest.raises(sa.exc.IntegrityError):
        by_hand(sa.update(PointsCampaign).values(state="running", run_by=1, cost_points=11))
    assert one(PointsCampaign.state) == "previewed" and count(Member) == 1
