"""Rules over rows: versions and drafts, caps through many receipts, points that come later, trials."""

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from mall import checkins, clock, earning, jobs, purchases, refunds, tiers
from mall.earning import Bill
from mall.errors import Malformed, NotFound, RulePublished, TooManyReceipts
from mall.purchases import Receipt
from models import (
    Account,
    EarningCounter,
    EarningRule,
    LedgerEntry,
    Member,
    PendingGrant,
    Purchase,
)
from tests.makers import a_key
from tests.mall.books import DAY, balance, by_hand, clerk, count, entries, one, rows, said, wrong
from tests.mall.together import together

RULE = {
    "code": "extra",
    "name": "活动",
    "kind": "base",
    "trigger": "purchase",
    "priority": 0,
    "active": True,
}
RATE = {"points": 1, "per_fen": 100, "rounding": "full_units"}


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def write(hired, now):
    """Write a version of a rule, in force unless told otherwise."""

    def make(publish=True, at=None, **terms):
        values, key = {**RULE, **terms}, a_key(route="rules")
        when, who = at or now, hired["admin"]
        return said(earning.write(values, publish=publish, staff_id=who, key=key, now=when))

    return make


@pytest.fixture
def buy(stores, hired):
    numbers = iter(range(1, 1000))

    def show(member, amount_fen, *, at=None, items=(), store="A"):
        moment, who = at or clock.now(), hired[f"clerk-{store.lower()}"]
        number = f"r-{next(numbers)}"
        receipt = Receipt(
            stores[store], number, member, amount_fen, moment, staff_id=who, items=items
        )
        return said(purchases.record_one(receipt, key=a_key(route="buy"), now=moment))

    return show


# versions


@pytest.mark.covers("C8")
def test_a_draft_earns_nothing_until_it_is_published(a_member, write, buy, hired, now):
    member = a_member()
    draft = write(publish=False, code="purchase", rate={**RATE, "points": 5})
    before = buy(member, 1_000)["points_awarded"]

    key = a_key(route="publish")
    seen = said(earning.publish(draft["id"], staff_id=hired["admin"], key=key, now=clock.now()))

    assert (draft["state"], seen["state"], seen["version"]) == ("draft", "published", 2)
    assert (before, buy(member, 1_000)["points_awarded"]) == (10, 50)
    assert rows(LedgerEntry.rule_version, order=LedgerEntry.id) == [(1,), (2,)]


def test_a_draft_that_was_overtaken_or_published_is_refused(write, hired, now):
    old, new = write(publish=False, rate=RATE), write(rate=RATE)

    for rule in (old, new):
        with pytest.raises(RulePublished):
            earning.publish(rule["id"], staff_id=hired["admin"], key=a_key(), now=now)
    with pytest.raises(NotFound):
        earning.publish(10**9, staff_id=hired["admin"], key=a_key(), now=now)


def test_a_rule_that_is_ended_earns_nothing_more(a_member, write, buy):
    write(code="purchase", rate=RATE, active=False)

    answer = buy(a_member(), 1_000)

    assert (answer["points_awarded"], answer["lines"]) == (0, [])


@pytest.mark.parametrize(
    "terms",
    [
        {"kind": "base"},
        {"kind": "multiply", "percent": 100},
        {"kind": "multiply"},
        {"kind": "add"},
        {"kind": "add", "points": 1, "trigger": "event"},
        {"kind": "add", "points": 1, "trigger": "event", "matches": ["nonsense"]},
        {"kind": "base", "rate": RATE, "trigger": "event", "matches": ["joined"]},
        {"rate": RATE, "trigger": "item"},
        {"rate": RATE, "award": "later"},
        {"rate": RATE, "audience": {"tiers": ["wood"]}},
        {"rate": RATE, "audience": {"stores": [10**9]}},
        {"rate": RATE, "window": {"starts_on": date(2027, 1, 2), "ends_on": date(2027, 1, 1)}},
    ],
)
def test_a_rule_that_could_never_pay_is_refused(write, terms):
    with pytest.raises(Malformed):
        write(**terms)

    assert count(EarningRule) == 1


# caps


@pytest.mark.covers("C2")
def test_a_days_cap_holds_over_receipts_and_the_next_day_begins_anew(a_member, write, buy, now):
    write(code="purchase", rate=RATE, caps={"day": 25})
    member = a_member()

    answers = [buy(member, 1_000, at=now + n * timedelta(seconds=1)) for n in range(4)]
    later = buy(member, 1_000, at=now + DAY)

    assert [answer["points_awarded"] for answer in answers] == [10, 10, 5, 0]
    (line,) = answers[3]["lines"]
    assert (line["why"], line["numbers"]["cap"]) == ("capped", "day")
    assert line["reason"] == "已达上限（每日 25 分），原应得 10 分"
    assert later["points_awarded"] == 10 and balance(member) == 35 and wrong() == []


def test_a_cap_holds_within_a_batch_and_over_batches(a_member, write, stores, now):
    write(code="purchase", rate=RATE, caps={"period": 30, "period_kind": "ever"})
    one_, other = a_member(), a_member()

    def batch(name):
        who = (one_, one_, other)
        return purchases.record_receipts(
            [Receipt(stores["A"], f"{name}-{n}", m, 2_000, now) for n, m in enumerate(who)],
            now=now,
        )

    given = [[each.awarded.points for each in batch(name)] for name in ("a", "b")]

    assert given == [[20, 10, 20], [0, 0, 10]]
    assert rows(EarningCounter.points, order=EarningCounter.member_id) == [(30,), (30,)]


def test_receipts_at_the_same_moment_share_one_cap(app, a_member, write, buy, now):
    write(code="purchase", rate=RATE, caps={"day": 25})
    member = a_member()

    answers = together(app, [lambda: buy(member, 1_000)] * 6)

    assert sum(answer["points_awarded"] for answer in answers) == balance(member) == 25


# why


def test_the_receipt_keeps_why_it_earned_what_it_did(a_member, write, buy):
    write(code="purchase", name="消费积分", rate=RATE, excluded_categories=["烟"])
    write(code="double", name="双倍", kind="multiply", percent=200, min_amount_fen=9_000)
    items = [{"sku": "x", "category": "烟", "quantity": 1, "amount_fen": 3_000}]

    answer = buy(a_member(), 5_000, items=items)

    assert [(line["rule"], line["points"], line["why"]) for line in answer["lines"]] == [
        ("消费积分@2", 20, "earned"),
        ("消费积分@2", 0, "excluded"),
        ("双倍@1", 0, "below_minimum"),
    ]
    assert answer["lines"][2]["reason"] == "满 ¥90.00 起计分，还差 ¥40.00"
    assert [line["why"] for line in one(Purchase.lines)] == ["earned", "excluded", "below_minimum"]


def test_every_reason_has_a_sentence_in_both_languages(a_member, write, buy):
    write(code="purchase", rate=RATE, active=False)
    terms = [
        {"window": {"month_days": [31], "weekdays": [1]}},
        {"audience": {"tiers": ["gold"]}},
        {"audience": {"new_member_days": 1}},
        {"trigger": "category", "matches": ["茶"]},
    ]
    member = a_member()
    by_hand(sa.update(Member).values(joined_at=datetime(2020, 1, 1, tzinfo=UTC)))
    for number, each in enumerate(terms):
        write(code=f"r{number}", rate=RATE, **each)

    answer = buy(member, 1_000, at=datetime(2027, 3, 3, tzinfo=UTC))

    assert answer["points_awarded"] == 0
    assert [line["why"] for line in answer["lines"]] == [
        "not_then",
        "not_for_tier",
        "no_longer_new",
        "nothing_of_it",
    ]
    assert all(line["reason"] and line["reason_en"] for line in answer["lines"])


@pytest.mark.covers("C6")
@pytest.mark.parametrize(("policy", "earned"), [("max", 30), ("sum", 40), ("product", 60)])
def test_the_shops_policy_says_how_multipliers_stack(a_member, write, buy, tune, policy, earned):
    tune("multiplier_stacking", policy)
    write(code="double", kind="multiply", percent=200)
    write(code="triple", kind="multiply", percent=300)

    assert buy(a_member(), 1_000)["points_awarded"] == earned


# later


@pytest.mark.covers("C5")
def test_points_that_come_later_are_pending_until_then(a_member, write, buy, now):
    write(code="purchase", rate=RATE, award="later", award_after_days=7)
    member = a_member()

    answer = buy(member, 1_000, at=now)

    assert answer["points_pending_until"] == clock.rfc3339(now + 7 * DAY)
    assert (balance(member), one(Account.pending_points)) == (0, 10) and wrong() == []
    by_hand(sa.update(PendingGrant).values(due_at=clock.now() - DAY))
    jobs.drain_events()
    assert (balance(member), one(Account.pending_points)) == (10, 0) and wrong() == []
    assert entries(member) == [("purchase", 10, 10)]


@pytest.mark.covers("C5", "C12")
@pytest.mark.parametrize(
    ("refunded_fen", "left"), [([400], 6), ([400, 300], 3), ([400, 600], 0), ([1_000], 0)]
)
def test_what_is_refunded_before_then_never_comes(
    a_member, write, buy, hired, now, refunded_fen, left
):
    write(code="purchase", rate=RATE, award="later", award_after_days=7)
    member = a_member(points=5)
    bought = buy(member, 1_000)["id"]
    who = clerk(hired["clerk-a"])

    for amount_fen in refunded_fen:
        refunds.refund(bought, amount_fen, clerk=who, key=a_key(), now=clock.now())

    assert (balance(member), one(Account.pending_points)) == (5, left) and wrong() == []
    by_hand(sa.update(PendingGrant).values(due_at=clock.now() - DAY))
    jobs.drain_events()
    assert balance(member) == 5 + left and wrong() == []


# events


@pytest.mark.covers("C2")
def test_an_event_earns_once_and_up_to_its_cap(a_member, write, now):
    event = {"kind": "add", "trigger": "event", "matches": ["checked_in"], "points": 8}
    write(code="bonus", name="签到加赠", caps={"period": 12, "period_kind": "ever"}, **event)
    member = a_member()

    for number in range(3):
        checkins.check_in(member, key=a_key(member, None), now=now + number * DAY)
        jobs.drain_events()
        jobs.drain_events()

    given = rows(LedgerEntry.delta_points, where=[LedgerEntry.kind == "event"])
    assert given == [(8,), (4,)] and wrong() == []
    assert one(LedgerEntry.reason, LedgerEntry.delta_points == 8) == "签到加赠"


# trials


def test_a_dry_run_says_what_the_till_would_and_changes_nothing(a_member, write, buy, now):
    write(code="double", name="双倍", kind="multiply", percent=200)
    member, bill = a_member(), Bill(1_999, clock.business_day(now))

    tried = said(earning.dry_run(member, bill, [], key=a_key(), now=now))

    assert (balance(member), count(Purchase)) == (0, 0)
    bought = buy(member, 1_999)
    assert (tried["points"], tried["lines"]) == (bought["points_awarded"], bought["lines"])
    with pytest.raises(NotFound):
        earning.dry_run(10**9, bill, [], key=a_key(), now=now)
    with pytest.raises(NotFound):
        earning.dry_run(member, bill, [10**9], key=a_key(), now=now)


@pytest.mark.covers("B14")
def test_a_back_test_plays_the_past_again_under_a_draft(a_member, write, buy, tune, now):
    small, large = a_member(), a_member()
    for amount_fen in (1_000, 1_000):
        buy(small, amount_fen)
    buy(large, 100_000)
    draft = write(
        publish=False,
        code="purchase",
        name="新规则",
        rate={**RATE, "points": 2},
        min_amount_fen=5_000,
    )
    today = clock.business_day(now)

    found = said(earning.back_test([draft["id"]], today, today, key=a_key(), now=now))

    assert found == {
        "receipts": 3,
        "members": 2,
        "points_before": 1_020,
        "points_after": 2_000,
        "cost_fen": 980,
        "rules_before": {"消费积分@1": 1_020},
        "rules_after": {"新规则@2": 2_000},
        "winners": {"members": 1, "most": [{"member_id": large, "points": 1_000}]},
        "losers": {"members": 1, "most": [{"member_id": small, "points": -20}]},
        "tiers": {"up": 0, "down": 0},
    }
    assert balance(large) == 1_000, "nothing has changed"


def test_a_back_test_keeps_caps_and_days_apart(a_member, write, buy, now, monkeypatch):
    monkeypatch.setattr("mall.earning.trials.READ_AT_ONCE", 2)
    member = a_member()
    for number in (3, 2, 1):
        for _ in range(2):
            buy(member, 1_000, at=now - number * DAY)
    draft = write(publish=False, code="purchase", rate=RATE, caps={"day": 15})
    days = [clock.business_day(now - n * DAY) for n in (3, 2)]

    found = said(earning.back_test([draft["id"]], *days, key=a_key(), now=now))

    assert (found["receipts"], found["points_before"], found["points_after"]) == (4, 40, 30)


def test_too_many_receipts_are_refused_with_how_many_there_are(
    a_member, write, buy, monkeypatch, now
):
    monkeypatch.setattr("mall.earning.trials.MOST_RECEIPTS", 1)
    member, draft = a_member(), write(publish=False, rate=RATE)
    for _ in range(2):
        buy(member, 100)
    today = clock.business_day(now)

    with pytest.raises(TooManyReceipts) as refused:
        earning.back_test([draft["id"]], today, today, key=a_key(), now=now)

    assert refused.value.details == {"receipts": 2, "limit": 1}


# tiers that multiply


@pytest.fixture
def gold_doubles(hired, now):
    version = tiers.perks.find("gold")["version"]
    twice, who = {"points_percent": 200}, hired["admin"]
    tiers.perks.change("gold", twice, version=version, staff_id=who, now=now)


def in_tier(member, code):
    by_hand(sa.update(Account).where(Account.member_id == member).values(tier_code=code))


@pytest.mark.covers("B7", "C2")
def test_a_tier_that_doubles_pays_its_members_twice_and_says_so(a_member, write, buy, gold_doubles):
    plain, gold = a_member(), a_member()
    in_tier(gold, "gold")

    usual, twice = buy(plain, 5_000), buy(gold, 5_000)

    assert (usual["points_awarded"], twice["points_awarded"]) == (50, 100)
    assert [(line["points"], line["rule"]) for line in twice["lines"]] == [
        (50, "消费积分@1"),
        (50, "金卡会员@1"),
    ]


@pytest.mark.covers("B7", "H4")
@pytest.mark.parametrize(("policy", "points"), [("max", 150), ("sum", 200), ("product", 300)])
def test_a_tier_and_a_member_day_stack_as_the_shop_says(
    a_member, write, buy, tune, gold_doubles, policy, points
):
    member = a_member()
    in_tier(member, "gold")
    write(kind="multiply", percent=300)
    tune("multiplier_stacking", policy)

    assert buy(member, 5_000)["points_awarded"] == points


def test_a_trial_knows_what_a_tier_multiplies(a_member, write, buy, gold_doubles, now):
    member = a_member()
    in_tier(member, "gold")
    draft = write(publish=False, rate={**RATE, "points": 2}, code="purchase")
    bill, today = Bill(5_000, clock.business_day(now)), clock.business_day(now)
    buy(member, 5_000)

    tried = said(earning.dry_run(member, bill, [draft["id"]], key=a_key(), now=now))
    played = said(earning.back_test([draft["id"]], today, today, key=a_key(), now=now))

    assert (tried["points"], tried["growth"]) == (200, 50)
    assert (played["points_before"], played["points_after"]) == (100, 200)


@pytest.mark.covers("B14")
def test_a_back_test_with_a_draft_of_the_tier_rules_counts_who_would_move(
    a_member, write, buy, hired, now
):
    buy(a_member(), 50_000)
    today, key = clock.business_day(now), a_key(route="tiers")
    values = {"thresholds": {"silver": 500}}
    draft = said(tiers.drafts.draft(values, staff_id=hired["admin"], key=key, now=now))
    rule = write(publish=False, rate={**RATE, "points": 2})

    found = said(
        earning.back_test(
            [rule["id"]], today, today, tier_rule_id=draft["id"], key=a_key(), now=now
        )
    )

    assert found["tiers"] == {"up": 1, "down": 0}
