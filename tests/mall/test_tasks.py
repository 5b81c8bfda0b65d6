"""Tasks: what is done is counted once, and what it brings is given once, in its period."""

from datetime import date

import pytest
import sqlalchemy as sa

from mall import checkins, clock, profiles, tasks
from mall.errors import (
    Malformed,
    NotFound,
    PeriodFixed,
    RulePublished,
    StepChanged,
    TaskClaimed,
    TaskGiftGone,
    TaskMissed,
    TaskUnfinished,
)
from models import (
    Event,
    EventReaction,
    LedgerEntry,
    Member,
    Refund,
    TaskMark,
    TaskVersion,
    Voucher,
    db,
)
from tests.makers import a_key
from tests.mall.books import balance, by_hand, count, rows, said, units_left, wrong
from tests.mall.task_books import MONDAY, claims, later, newest, shop, step
from tests.mall.together import together

__all__ = ["shop"]


# counting and claiming


@pytest.mark.covers("D4")
def test_a_task_is_to_do_then_to_claim_then_claimed_and_pays_once(a_member, shop):
    member, task = a_member(), shop.task("sign", step("check_in"))

    before = shop.seen(member, task), shop.claim(member, task)
    shop.sign(member)
    done = shop.seen(member, task), shop.claim(member, task)
    after = shop.seen(member, task), shop.claim(member, task)

    assert before == (("todo", 0, 1), "task_unfinished")
    assert done == (("claimable", 1, 1), 10)
    assert after == (("claimed", 1, 1), "task_claimed")
    (entry,) = rows(LedgerEntry.delta_points, LedgerEntry.rule, where=[LedgerEntry.kind == "task"])
    assert entry == (10, "任务sign@1") and wrong() == []


@pytest.mark.covers("D4")
@pytest.mark.parametrize(
    ("period", "same", "next_one"),
    [("daily", 0, 1), ("weekly", 6, 7), ("monthly", 30, 31)],
)
def test_a_period_pays_once_and_the_next_again(a_member, shop, period, same, next_one):
    member, task = a_member(), shop.task("buy", step("purchase_count"), period=period)
    shop.buy(member, 5)

    first = shop.claim(member, task)
    shop.buy(member, 5, at=later(same))
    again = shop.claim(member, task, at=later(same))
    fresh = shop.seen(member, task, at=later(next_one))
    shop.buy(member, 5, at=later(next_one))

    assert (first, again, fresh) == (10, "task_claimed", ("todo", 0, 1))
    assert shop.claim(member, task, at=later(next_one)) == 10


@pytest.mark.covers("D4")
def test_what_was_done_and_not_claimed_is_missed_when_its_period_is_over(a_member, shop):
    member, task = a_member(), shop.task("sign", step("check_in"), period="daily")
    shop.sign(member)

    assert shop.claim(member, task, at=later(1)) == "task_missed"
    assert shop.claim(member, task, at=later(1), period_key="2027-03-01") == "task_missed"
    assert shop.seen(member, task, at=later(1)) == ("todo", 0, 1)
    assert shop.claim(member, task, at=later(2)) == "task_unfinished"
    assert balance(member) == 0 or claims(member) == []


@pytest.mark.covers("D4")
def test_refusals_say_the_rule_the_numbers_and_the_next_step(a_member, shop):
    member, task = a_member(), shop.task("buy", step("purchase_count", 3))
    shop.buy(member, 5)

    with pytest.raises(TaskUnfinished) as refusal:
        tasks.claim(task["task_id"], member, key=a_key(member), now=MONDAY)

    assert refusal.value.sentence("zh") == "任务还未完成：1/3，还差 2，完成后再来领取"
    assert "1 of 3" in refusal.value.sentence("en")
    assert {TaskClaimed.code, TaskMissed.code} == {"task_claimed", "task_missed"}


def test_a_claim_does_not_wait_for_the_worker(a_member, shop, stores):
    member, task = a_member(), shop.task("sign", step("check_in"))
    checkins.check_in(member, key=a_key(member, None), now=MONDAY)

    assert shop.claim(member, task) == 10
    shop.drain(MONDAY)
    assert claims(member) == ["claimed"] and count(TaskMark) == 1


def test_facts_told_twice_count_once(a_member, shop):
    member, task = a_member(), shop.task("buy", step("purchase_amount", 20_000))
    shop.buy(member, 100)

    by_hand(sa.delete(EventReaction))
    by_hand(sa.update(Event).values(done_at=None))
    shop.drain(MONDAY)

    assert shop.seen(member, task) == ("todo", 10_000, 20_000)


def test_many_claims_at_the_same_moment_pay_once(app, a_member, shop):
    member, task = a_member(), shop.task("sign", step("check_in"))
    shop.sign(member)

    outcomes = together(app, [lambda: shop.claim(member, task)] * 8)

    assert sorted(map(str, outcomes)) == ["10"] + ["task_claimed"] * 7
    assert count(LedgerEntry, LedgerEntry.kind == "task") == 1 and wrong() == []


def test_what_was_done_before_a_task_was_published_does_not_count(a_member, shop):
    member = a_member()
    shop.sign(member)
    task = shop.task("sign", step("check_in"), at=later(1))

    assert shop.seen(member, task, at=later(1)) == ("todo", 0, 1)


# challenges


@pytest.mark.covers("D7")
def test_a_thousand_yuan_in_the_window_give_the_gift_once(a_member, a_reward, shop):
    member, cup = a_member(), a_reward(units=5)
    shop.bundle("cup", rewards=[{"reward_id": cup.id, "quantity": 1}])
    march = date(2027, 3, 1), date(2027, 3, 31)
    window = {"period": "window", "starts_on": march[0], "ends_on": march[1]}
    given = {"points": 0, "bundle_code": "cup", "automatic": True}
    task = shop.task("spend", step("purchase_amount", 100_000), **window, **given)

    shop.buy(member, 999)
    before = units_left(cup.id)
    shop.buy(member, 1, at=later(1))
    shop.buy(member, 5_000, at=later(2))

    assert (before, units_left(cup.id)) == (5, 4)
    assert count(Voucher, Voucher.member_id == member) == 1
    assert shop.seen(member, task, at=later(2)) == ("claimed", 100_000, 100_000)


@pytest.mark.covers("D7")
def test_a_refund_below_the_target_takes_the_gift_back_unless_it_is_used(a_member, a_reward, shop):
    cup = a_reward(units=5)
    shop.bundle("cup", rewards=[{"reward_id": cup.id, "quantity": 1}])
    shop.task(
        *("spend", step("purchase_amount", 100_000)), points=7, bundle_code="cup", automatic=True
    )
    careful, quick = a_member(), a_member()
    receipts = {member: shop.buy(member, 1_000) for member in (careful, quick)}
    shop.hand_over(quick)

    for receipt in receipts.values():
        shop.refund(receipt, 1, at=later(1))

    assert (claims(careful), claims(quick)) == (["taken_back"], ["kept"])
    states = [rows(Voucher.state, where=[Voucher.member_id == m])[0][0] for m in (careful, quick)]
    assert states == ["void", "used"] and units_left(cup.id) == 4
    assert [balance(member) for member in (careful, quick)] == [999, 1_006] and wrong() == []


@pytest.mark.covers("D7")
def test_an_undone_refund_lets_the_task_be_done_again(a_member, shop):
    member = a_member()
    task = shop.task("spend", step("purchase_amount", 100_000), automatic=True)
    receipt = shop.buy(member, 1_000)
    shop.refund(receipt, 1)
    below = claims(member), shop.seen(member, task)

    shop.undo("refund", newest(Refund))

    assert below == (["taken_back"], ("todo", 99_900, 100_000))
    assert claims(member) == ["taken_back", "claimed"]
    assert balance(member) == 1_010 and wrong() == []


def test_an_undone_receipt_takes_its_progress_with_it(a_member, shop):
    member, task = a_member(), shop.task("buy", step("purchase_count", 2), automatic=True)
    shop.buy(member, 10)
    second = shop.buy(member, 20)
    done = shop.seen(member, task)

    shop.undo("purchase", second)

    assert done == ("claimed", 2, 2)
    assert (shop.seen(member, task), claims(member)) == (("todo", 1, 2), ["taken_back"])
    assert balance(member) == 10 and wrong() == []


@pytest.mark.covers("D9")
def test_steps_in_an_order_count_only_what_comes_after_those_before(a_member, shop):
    member = a_member()
    steps = (step("check_in"), step("purchase_count", 2))
    task = shop.task("path", *steps, ordered=True)

    shop.buy(member, 10)
    early = shop.seen(member, task)
    shop.sign(member, at=later(1))
    shop.buy(member, 10, at=later(1, MONDAY.replace(hour=15)))
    shop.buy(member, 10, at=later(2))

    assert early == ("todo", 0, 3)
    assert shop.seen(member, task, at=later(2)) == ("claimable", 3, 3)


@pytest.mark.covers("D9")
def test_progress_says_each_step_and_is_read_from_the_books(a_member, shop):
    member = a_member()
    task = shop.task("both", step("check_in", 2), step("purchase_amount", 5_000))
    shop.sign(member)
    shop.buy(member, 20)

    (seen,) = tasks.listed(member, now=MONDAY)

    assert (seen["progress"], seen["target"], seen["unit"]) == (1, 3, "times")
    assert [(each["progress"], each["target"]) for each in seen["steps"]] == [(1, 2), (2000, 5000)]
    db.session.remove()  # whatever process answers next
    assert shop.seen(member, task) == ("todo", 1, 3)


@pytest.mark.parametrize(
    ("only", "counted"),
    [
        ({"categories": ["饮品"]}, 3_000),
        ({"skus": ["bag"]}, 7_000),
        ({"min_amount_fen": 10_001}, 0),
        ({"min_amount_fen": 10_000}, 10_000),
    ],
)
def test_a_step_counts_only_what_it_asks_for(a_member, shop, only, counted):
    member = a_member()
    task = shop.task("drinks", step("purchase_amount", 20_000, **only))
    items = [
        {"sku": "tea", "category": "饮品", "quantity": 2, "amount_fen": 3_000},
        {"sku": "bag", "category": "周边", "quantity": 1, "amount_fen": 7_000},
    ]

    shop.buy(member, 100, items=items)

    assert shop.seen(member, task) == ("todo", counted, 20_000)


def test_an_item_that_is_refunded_no_longer_counts(a_member, shop):
    member = a_member()
    task = shop.task("drinks", step("purchase_amount", 2_000, categories=["饮品"]))
    items = [
        {"sku": "tea", "category": "饮品", "quantity": 2, "amount_fen": 3_000},
        {"sku": "bag", "category": "周边", "quantity": 1, "amount_fen": 7_000},
    ]
    receipt = shop.buy(member, 100, items=items)

    shop.refund(receipt, items=[{"sku": "tea", "quantity": 1}])

    assert shop.seen(member, task) == ("todo", 1_500, 2_000)


def test_a_store_of_another_name_does_not_count(a_member, shop, stores):
    member = a_member()
    task = shop.task("here", step("purchase_count", stores=[stores["A"]]))

    shop.buy(member, 10, store="B")
    there = shop.seen(member, task)
    shop.buy(member, 10)

    assert (there, shop.seen(member, task)) == (("todo", 0, 1), ("claimable", 1, 1))


# for whom


@pytest.mark.covers("D8")
def test_two_segments_see_different_lists(a_member, shop):
    base, silver = a_member(), a_member()
    shop.buy(silver, 1_000)
    shop.task("b", step("check_in"), audience={"tiers": ["base"]})
    shop.task("s", step("check_in"), audience={"tiers": ["silver"]})

    lists = [[each["code"] for each in tasks.listed(m, now=MONDAY)] for m in (base, silver)]

    assert lists == [["b"], ["s"]]
    preview = {
        code: tasks.preview(id_, now=MONDAY)
        for id_, code in rows(TaskVersion.id, TaskVersion.title_en)
    }
    assert preview == {"b": {"members": 1, "of_members": 2}, "s": {"members": 1, "of_members": 2}}


def test_a_task_of_others_is_not_there_to_claim(a_member, shop):
    member, task = a_member(), shop.task("s", step("check_in"), audience={"tiers": ["gold"]})
    shop.sign(member)

    assert (shop.seen(member, task), shop.claim(member, task)) == (None, "not_found")


@pytest.mark.covers("D8")
def test_who_has_begun_may_finish_though_they_left_the_segment(a_member, shop):
    member = a_member()
    task = shop.task("b", step("purchase_amount", 200_000), audience={"tiers": ["base"]})

    shop.buy(member, 1_500)
    shop.buy(member, 500)

    assert shop.seen(member, task) == ("claimable", 200_000, 200_000)


@pytest.mark.covers("D11")
def test_a_newcomers_pack_closes_so_many_days_after_joining(a_member, shop):
    task = shop.task("new", step("purchase_count"), audience={"new_member_days": 7})
    quick, slow, old = a_member(), a_member(), a_member()
    by_hand(sa.update(Member).where(Member.id.in_([quick, slow])).values(joined_at=MONDAY))
    by_hand(sa.update(Member).where(Member.id == old).values(joined_at=later(-30)))

    shop.buy(quick, 10, at=later(6))
    in_time = shop.claim(quick, task, at=later(6))
    shop.buy(slow, 10, at=later(7))

    assert in_time == 10
    assert shop.seen(slow, task, at=later(7)) == ("missed", 0, 1)
    assert shop.claim(slow, task, at=later(7)) == "task_missed"
    assert shop.seen(old, task) is None
    (ends,) = [each["ends_at"] for each in tasks.listed(slow, now=later(7))]
    assert ends == clock.rfc3339(clock.start_of_day(clock.business_day(later(7))))


@pytest.mark.covers("D4")
def test_a_completed_profile_counts_once(a_member, shop, tune):
    tune("profile_fields", ["nickname", "city"])
    member, task = a_member(), shop.task("profile", step("profile_completed"))

    profiles.change(member, {"nickname": "小满"}, now=MONDAY)
    shop.drain(MONDAY)
    half = shop.seen(member, task)
    profiles.change(member, {"city": "上海"}, now=MONDAY)
    shop.drain(MONDAY)
    profiles.change(member, {"city": "杭州"}, now=MONDAY)
    shop.drain(MONDAY)

    assert (half, shop.claim(member, task)) == (("todo", 0, 1), 10)
    assert shop.claim(member, task) == "task_claimed" and count(TaskMark) == 1


def test_a_profile_that_was_complete_before_its_task_counts(a_member, shop, tune):
    tune("profile_fields", ["nickname"])
    member = a_member(nickname="小满")
    task = shop.task("profile", step("profile_completed"))

    assert shop.seen(member, task) == ("claimable", 1, 1)


# gifts


def test_a_task_whose_gift_is_gone_can_be_claimed_later(a_member, a_reward, shop):
    cup = a_reward(units=1)
    shop.bundle("cup", rewards=[{"reward_id": cup.id, "quantity": 1}])
    task = shop.task("sign", step("check_in"), points=5, bundle_code="cup")
    first, second = a_member(), a_member()
    for member in (first, second):
        shop.sign(member)

    assert shop.claim(first, task) == 5
    refused, before = shop.claim(second, task), balance(second)
    by_hand(sa.text("UPDATE rewards SET units_left = 1, units_stocked = 2"))

    assert (refused, TaskGiftGone.code) == ("task_gift_gone", "task_gift_gone")
    assert shop.seen(second, task)[0] == "claimable" and claims(second) == []
    assert shop.claim(second, task) == 5 and balance(second) == before + 5


# versions


def test_what_was_done_counts_by_the_version_of_its_moment(a_member, shop):
    member = a_member()
    task = shop.task("buy", step("purchase_count", 3))
    shop.buy(member, 10)
    shop.task("buy", step("purchase_count", 2, min_amount_fen=10_000), at=later(1))

    shop.buy(member, 50, at=later(2))
    small = shop.seen(member, task, at=later(2))
    shop.buy(member, 100, at=later(2))

    assert (small, shop.seen(member, task, at=later(2))) == (("todo", 1, 2), ("claimable", 2, 2))


def test_what_the_worker_tells_late_counts_by_the_version_of_its_moment(a_member, shop):
    member = a_member()
    task = shop.task("sign", step("check_in"))
    checkins.check_in(member, key=a_key(member, None), now=MONDAY)
    shop.task("sign", step("check_in", 2), active=False, at=later(1))
    shop.task("sign", step("check_in", 2), at=later(2))

    shop.drain(later(2))

    assert shop.seen(member, task, at=later(2)) == ("todo", 1, 2)


def test_a_draft_is_seen_by_nobody_until_it_is_published_and_then_stays(a_member, shop):
    member, draft = a_member(), shop.task("sign", step("check_in"), publish=False)
    hidden = shop.seen(member, draft)
    who = {"staff_id": shop.hired["admin"], "now": MONDAY}

    published = said(tasks.publish(draft["id"], **who, key=a_key(route="p")))

    assert (hidden, shop.seen(member, draft)) == (None, ("todo", 0, 1))
    assert published["state"] == "published"
    with pytest.raises(RulePublished):
        tasks.publish(draft["id"], **who, key=a_key(route="p"))
    with pytest.raises(NotFound):
        tasks.publish(404, **who, key=a_key(route="p"))


def test_an_ended_task_is_gone_and_pays_nobody(a_member, shop):
    member, task = a_member(), shop.task("sign", step("check_in"))
    shop.sign(member)
    shop.task("sign", step("check_in"), active=False, at=later(1))

    assert shop.seen(member, task, at=later(1)) is None
    assert shop.claim(member, task, at=later(1)) == "task_missed"


@pytest.mark.parametrize(
    "wrong_values",
    [
        {"points": 0},
        {"bundle_code": "none"},
        {"period": "window"},
        {"ordered": True},
        {"audience": {"tiers": ["tin"]}},
    ],
)
def test_a_task_that_could_never_pay_is_refused(shop, wrong_values):
    with pytest.raises(Malformed):
        shop.task("bad", step("check_in"), **wrong_values)

    assert count(TaskVersion) == 0


def test_a_period_and_what_a_step_counts_never_change(shop):
    shop.task("sign", step("check_in", code="one"))

    with pytest.raises(PeriodFixed):
        shop.task("sign", step("check_in", code="one"), period="daily")
    with pytest.raises(StepChanged):
        shop.task("sign", step("purchase_count", code="one"))
    with pytest.raises(Malformed):
        shop.task("two", step("check_in", code="a"), step("check_in", code="a"))
    with pytest.raises(Malformed):
        shop.task("only", step("check_in", stores=[1]))


# merges


@pytest.mark.covers("D9")
def test_one_person_of_two_has_the_progress_of_both_and_is_paid_once(a_member, shop):
    task = shop.task("buy", step("purchase_count", 3), automatic=True)
    paid = shop.task("sign", step("check_in"), automatic=True)
    one_, other = a_member(), a_member()
    for member in (one_, other):
        shop.sign(member)
        shop.buy(member, 10)
    shop.buy(other, 10)

    shop.merge(one_, other, at=later(1))

    assert shop.seen(one_, task, at=later(1)) == ("claimed", 3, 3)
    assert shop.seen(one_, paid, at=later(1)) == ("claimed", 1, 1)
    assert claims(one_).count("claimed") == 2
    assert balance(one_) == 30 + 10 + 2 * (10 + 5) and wrong() == []
