"""Tasks: what counts, in which period, for whom; claimed once, in its period only."""

import pytest

from mall import checkins, merges, profiles, redemptions, rewards, tasks, vouchers
from mall.errors import NotFound, TaskClaimed, TaskMissed, TaskUnfinished
from mall.idempotency import Replayed
from models import Member, Redemption, Voucher, db
from tests.makers import a_key
from tests.mall.books import ask, balance, one, rows, said, wrong
from tests.mall.task_books import MON, SUN, a_step, claims, day, days, marks, paid, shop
from tests.mall.together import together

__all__ = ["shop"]
HOUR = days(1) / 24
TUE = MON + days(1)
ITEMS = [
    {"sku": "tea", "category": "茶", "quantity": 2, "amount_fen": 6_000},
    {"sku": "cup", "category": "杯", "quantity": 1, "amount_fen": 4_000},
]


# claiming


@pytest.mark.covers("D4")
def test_a_task_that_is_done_is_claimed_once(a_member, shop):
    member, task = a_member(), shop.publish(a_step("check_in"))
    assert shop.seen(member, SUN) == (0, 1, "todo")

    shop.check_in(member, at=SUN)
    before = shop.seen(member, SUN)
    answer = shop.claim(member, task, SUN)

    assert before == (1, 1, "claimable") and shop.seen(member, SUN) == (1, 1, "claimed")
    assert answer["points_awarded"] == 10 and answer["balance_after"] == balance(member)
    assert paid(member) == [10] and wrong() == []
    with pytest.raises(TaskClaimed):
        shop.claim(member, task, SUN)
    assert paid(member) == [10]


def test_what_is_not_done_can_not_be_claimed_and_says_how_much_is_missing(a_member, shop):
    member, task = a_member(), shop.publish(a_step("purchase_count", 3))
    shop.buy(member, at=SUN)

    with pytest.raises(TaskUnfinished) as refusal:
        shop.claim(member, task, SUN)

    assert refusal.value.details == {"progress": 1, "target": 3, "short_by": 2}
    assert claims(member) == []


@pytest.mark.covers("D4")
def test_a_task_can_be_claimed_in_its_period_only(a_member, shop):
    member, task = a_member(), shop.publish(a_step("check_in"), period="daily")
    shop.check_in(member, at=SUN)
    seen = shop.list(member, SUN)[0]["period_key"]

    with pytest.raises(TaskMissed) as refusal:
        shop.claim(member, task, MON)
    with pytest.raises(TaskMissed):
        shop.claim(member, task, MON, period_key=seen)

    assert refusal.value.details == {"ended_at": "2027-01-11T00:00:00+08:00"}
    assert paid(member) == [] and shop.seen(member, MON) == (0, 1, "todo")


def test_the_same_key_answers_the_same_and_pays_once(a_member, shop):
    member, task = a_member(), shop.publish(a_step("check_in"))
    shop.check_in(member, at=SUN)
    key = a_key(member, route="claim")

    shop.claim(member, task, SUN, key=key)
    with pytest.raises(Replayed):
        shop.claim(member, task, SUN, key=key)

    assert paid(member) == [10]


@pytest.mark.covers("D4")
def test_of_many_who_claim_at_once_one_is_paid(app, a_member, shop):
    member, task = a_member(), shop.publish(a_step("check_in"))
    shop.check_in(member, at=SUN)

    told = together(app, [lambda: shop.claim(member, task, SUN)] * 5)

    assert sum(isinstance(each, dict) for each in told) == 1
    assert sum(isinstance(each, TaskClaimed) for each in told) == 4, told
    assert paid(member) == [10]


def test_a_claim_does_not_wait_for_the_worker_and_the_worker_counts_it_no_second_time(
    a_member, shop
):
    member, task = a_member(), shop.publish(a_step("purchase_count"), a_step("check_in", code="c"))
    shop.buy(member, at=SUN, told=False)
    shop.check_in(member, at=SUN, told=False)

    shop.claim(member, task, SUN)
    shop.drain(SUN)

    assert marks(member) == [("s", "once", 1), ("c", "once", 1)] and paid(member) == [10]


def test_an_automatic_task_gives_by_itself(a_member, shop):
    member, task = a_member(), shop.publish(a_step("purchase_count", 2), automatic=True)
    shop.buy(member, at=SUN)
    assert paid(member) == []

    shop.buy(member, at=SUN)
    shop.buy(member, at=SUN)

    assert paid(member) == [10] and shop.seen(member, SUN) == (2, 2, "claimed")
    with pytest.raises(TaskClaimed):
        shop.claim(member, task, SUN)


def test_an_automatic_task_gives_for_what_is_told_late_of_its_period(a_member, shop):
    member = a_member()
    shop.publish(a_step("check_in"), period="daily", automatic=True)
    shop.check_in(member, at=SUN, told=False)

    shop.drain(TUE)

    assert paid(member) == [10] and marks(member) == [("s", "2027-01-10", 1)]


def test_somebody_elses_task_and_none_are_not_there(a_member, shop):
    task = shop.publish(a_step("check_in"), audience={"tiers": ["gold"]})

    with pytest.raises(NotFound):
        shop.claim(a_member(), task, SUN)
    with pytest.raises(NotFound):
        shop.claim(a_member(), task + 1, SUN)


def test_a_gift_that_is_sold_out_is_given_when_it_is_there_again(a_member, a_shelf, shop):
    member, cup = a_member(), a_shelf(units=1)
    shop.bundle(rewards=[{"reward_id": cup, "quantity": 1}])
    task = shop.publish(a_step("check_in"), points=5, bundle_code="gift", automatic=True)
    other = a_member()
    shop.check_in(other, at=SUN)

    shop.check_in(member, at=SUN)
    before = shop.seen(member, SUN), paid(member), claims(member)
    move = {"quantity": 1, "reason": "purchase", "note": "", "unit_cost_fen": None}
    rewards.move_stock(cup, move, staff_id=shop.admin, key=a_key(route="stock"), now=SUN)
    answer = shop.claim(member, task, SUN)

    assert before == ((1, 1, "claimable"), [], []) and paid(other) == [5]
    assert answer["gift"] == {"name": "礼包", "units": 1} and paid(member) == [5]


# periods


@pytest.mark.covers("D4")
@pytest.mark.parametrize(
    ("period", "key", "last", "next_one"),
    [
        ("daily", "2027-01-10", SUN + 11 * HOUR, SUN + 12 * HOUR),
        ("weekly", "2027-W01", SUN + 11 * HOUR, SUN + 12 * HOUR),
        ("monthly", "2027-01", day("2027-01-31", 23), day("2027-02-01", 0)),
    ],
)
def test_a_period_ends_with_the_shops_day_and_the_next_begins_anew(
    a_member, shop, period, key, last, next_one
):
    member = a_member()
    shop.publish(a_step("purchase_count", 2), period=period)
    shop.buy(member, at=SUN)

    shop.buy(member, at=last)
    done = shop.seen(member, last)
    shop.buy(member, at=next_one)

    assert done == (2, 2, "claimable") and shop.seen(member, next_one) == (1, 2, "todo")
    assert [mark[1] for mark in marks(member)][:2] == [key, key]


def test_what_was_done_outside_a_window_does_not_count(a_member, shop):
    member = a_member()
    window = {"starts_on": MON.date(), "ends_on": TUE.date()}
    shop.publish(a_step("purchase_count", 9), period="window", **window)

    for at in (SUN, MON, TUE, TUE + days(1)):
        shop.buy(member, at=at)

    assert [amount for _, _, amount in marks(member)] == [1, 1]
    assert shop.seen(member, SUN) is False and shop.seen(member, TUE) == (2, 9, "todo")
    assert shop.seen(member, TUE + days(2)) == (2, 9, "missed")
    assert shop.seen(member, TUE + days(9)) is False


@pytest.mark.covers("D11")
def test_a_newcomers_pack_closes_so_many_days_after_joining(a_member, shop):
    new, late = a_member(), a_member()
    task = shop.publish(
        a_step("purchase_count"), points=30, audience={"new_member_days": 7}, title="新手礼"
    )
    for member in (new, late):
        db.session.get_one(Member, member).joined_at = SUN - 3 * HOUR
    db.session.commit()
    (shown,) = shop.list(new, SUN)

    shop.buy(new, at=SUN + days(6))
    shop.buy(late, at=SUN + days(7))

    assert shown["ends_at"] == "2027-01-17T00:00:00+08:00"
    assert shop.claim(new, task, SUN + days(6))["points_awarded"] == 30
    assert marks(late) == [] and shop.seen(late, SUN + days(7)) == (0, 1, "missed")
    with pytest.raises(TaskMissed):
        shop.claim(late, task, SUN + days(7))


def test_what_was_done_before_a_task_was_published_does_not_count(a_member, shop):
    member = a_member()
    bought = shop.buy(member, 900, at=SUN)
    shop.buy(member, 800, at=SUN, told=False)
    first = {"starts_on": SUN.date(), "ends_on": TUE.date(), "period": "window"}
    shop.publish(a_step("purchase_amount", 100_00), at=SUN + HOUR, **first)

    shop.refund(bought, 100, at=SUN + 2 * HOUR)

    assert marks(member) == [] and shop.seen(member, SUN + 2 * HOUR) == (0, 100_00, "todo")


# what counts


@pytest.mark.parametrize(
    ("step", "progress"),
    [
        (a_step("purchase_amount", 1_000_000), 10_000),
        (a_step("purchase_amount", 1_000_000, categories=["茶"]), 6_000),
        (a_step("purchase_amount", 1_000_000, skus=["cup"]), 4_000),
        (a_step("purchase_count", 9, skus=["cup"]), 1),
        (a_step("purchase_count", 9, skus=["pen"]), 0),
        (a_step("purchase_count", 9, min_amount_fen=10_000), 1),
        (a_step("purchase_count", 9, min_amount_fen=10_001), 0),
        (a_step("purchase_count", 9, categories=["茶"], min_amount_fen=6_001), 0),
        (a_step("visit", 9), 1),
    ],
)
def test_of_receipts_counts_what_a_step_is_restricted_to(a_member, shop, step, progress):
    member = a_member()
    shop.publish(step)

    shop.buy(member, 100, at=SUN, items=ITEMS)

    assert shop.seen(member, SUN)[0] == progress


def test_a_step_may_count_in_some_stores_only(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 9, stores=[shop.stores["B"]]))
    shop.publish(a_step("visit", 9, stores=[shop.stores["B"]]), code="v")

    shop.buy(member, at=SUN, store="A")
    shop.buy(member, at=SUN, store="B")

    assert (shop.seen(member, SUN), shop.seen(member, SUN, "v")) == (
        (1, 9, "todo"),
        (1, 9, "todo"),
    )


def test_a_day_is_one_visit_while_a_receipt_of_it_stands(a_member, shop):
    member = a_member()
    shop.publish(a_step("visit", 9))
    first, second = (shop.buy(member, at=SUN, store=store) for store in "AA")
    shop.buy(member, at=MON)
    assert shop.seen(member, MON)[0] == 2

    shop.refund(first, at=MON)
    one_left = shop.seen(member, MON)[0]
    shop.refund(second, at=MON)

    assert (one_left, shop.seen(member, MON)[0]) == (2, 1)


def test_only_days_that_were_signed_in_count_not_those_made_up(a_member, shop):
    member = a_member(points=100)
    db.session.get_one(Member, member).joined_at = SUN - days(9)
    db.session.commit()
    shop.publish(a_step("check_in", 9), at=SUN - days(5))

    shop.check_in(member, at=SUN)
    shop.check_in(member, at=SUN)
    yesterday = (SUN - days(1)).date()
    checkins.make_up(member, yesterday, key=a_key(member, route="make-up"), now=SUN)
    shop.drain(SUN)

    assert shop.seen(member, SUN)[0] == 1


def complete(member, at):
    by_hand_profile = {"nickname": "小明", "gender": "male", "city": "上海"}
    profiles.change(member, {**by_hand_profile, "birthday": day("1990-01-01").date()}, now=at)


def test_a_profile_is_completed_once(a_member, shop, tune):
    tune("profile_fields", ["nickname", "city"])
    member, task = a_member(), shop.publish(a_step("profile_completed"))
    profiles.change(member, {"nickname": "小明"}, now=SUN)
    shop.drain(SUN)
    half = shop.seen(member, SUN)

    complete(member, SUN)
    shop.drain(SUN)
    shop.claim(member, task, SUN)
    profiles.change(member, {"city": "北京"}, now=SUN)
    shop.drain(SUN)

    assert half == (0, 1, "todo") and paid(member) == [10] and len(marks(member)) == 1


def test_a_profile_that_was_complete_before_counts_when_its_owner_looks(a_member, shop, tune):
    tune("profile_fields", ["nickname", "city"])
    member = a_member()
    complete(member, SUN)
    shop.drain(SUN)
    shop.publish(a_step("profile_completed"), at=SUN + HOUR)

    assert shop.seen(member, SUN + HOUR) == (1, 1, "claimable")
    assert shop.seen(member, SUN + 2 * HOUR) == (1, 1, "claimable") and len(marks(member)) == 1


def test_a_redemption_counts_until_it_is_cancelled_and_a_hand_over_too(a_member, a_shelf, shop):
    member, shelf = a_member(points=10), a_shelf()
    shop.publish(a_step("redemption", 9, rewards=[shelf]))
    shop.publish(a_step("voucher_used", 9), code="used")
    for _ in range(2):
        redemptions.redeem(ask(member, shelf), now=SUN)
    shop.drain(SUN)
    two = shop.seen(member, SUN)[0]

    cancelled, kept = (id_ for (id_,) in rows(Redemption.id))
    redemptions.cancel(member, cancelled, key=a_key(member), now=SUN)
    ((voucher,),) = rows(Voucher, where=[Voucher.redemption_id == kept])
    code = vouchers.code_of(voucher)
    vouchers.use(code, clerk=shop.clerk, key=a_key(route="use"), now=SUN)
    shop.drain(SUN)
    used = shop.seen(member, SUN, "used")[0]
    shop.undo("voucher_use", voucher.id, at=SUN)

    assert (two, shop.seen(member, SUN)[0]) == (2, 1)
    assert (used, shop.seen(member, SUN, "used")[0]) == (1, 0)


def test_a_tier_that_is_passed_is_reached_until_a_refund_takes_it_away(a_member, shop):
    member = a_member()
    shop.publish(a_step("tier_reached", tiers=["silver"]), automatic=True)
    bought = shop.buy(member, 6_000, at=SUN)  # gold, past silver

    given = paid(member)
    shop.refund(bought, at=SUN)

    assert (given, paid(member)) == ([10], [10, -10]) and shop.seen(member, SUN)[0] == 0


# sharing: the friend's act, never the share


@pytest.mark.covers("D5")
def test_sharing_pays_when_the_friend_joins_once(a_member, shop):
    inviter, friend = a_member(), a_member()
    shop.publish(a_step("friend_joined"), automatic=True, period="once")
    shop.befriend(a_member(), a_member(), at=SUN)
    before = paid(inviter)

    shop.befriend(inviter, friend, at=SUN)
    shop.drain(SUN)

    assert (before, paid(inviter), paid(friend)) == ([], [10], [])


@pytest.mark.covers("D5")
def test_a_share_pays_nothing_and_the_friends_act_pays_once(a_member, shop):
    inviter, friend = a_member(), a_member()
    shop.publish(a_step("friend_acted", 9), automatic=True)
    shop.befriend(inviter, friend, at=SUN)
    nothing = shop.seen(inviter, SUN)[0]

    shop.check_in(friend, at=SUN)
    acted = shop.seen(inviter, SUN)[0]
    shop.buy(friend, at=SUN)
    shop.check_in(friend, at=MON)

    assert (nothing, acted, shop.seen(inviter, MON)[0]) == (0, 1, 1)


def test_a_friends_first_purchase_counts_once_and_goes_with_its_refund(a_member, shop):
    inviter, friend = a_member(), a_member()
    shop.publish(a_step("friend_bought", 9))
    shop.befriend(inviter, friend, at=SUN)
    first = shop.buy(friend, at=SUN)
    second = shop.buy(friend, at=SUN)

    twice = shop.seen(inviter, SUN)[0]
    shop.refund(first, at=SUN)
    other = shop.seen(inviter, SUN)[0]
    shop.refund(second, at=SUN)

    assert (twice, other, shop.seen(inviter, SUN)[0]) == (1, 1, 0)


# for whom


@pytest.mark.covers("D8")
def test_two_members_in_different_segments_get_different_lists(a_member, shop):
    base, gold = a_member(), a_member()
    shop.buy(gold, 6_000, at=SUN)
    shop.publish(a_step("check_in"), code="for-gold", audience={"tiers": ["gold"]})
    shop.publish(a_step("check_in"), code="for-base", audience={"tiers": ["base"]})
    shop.publish(a_step("check_in"), code="b", audience={"store_id": shop.stores["A"]})

    lists = [[each["code"] for each in shop.list(member, SUN)] for member in (base, gold)]

    assert lists == [["for-base"], ["for-gold", "b"]]


@pytest.mark.covers("D8")
def test_what_was_done_outside_the_audience_does_not_count_later(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 9), audience={"tiers": ["gold"]})
    outside = shop.buy(member, 6_000, at=SUN)  # gold afterwards

    shop.buy(member, at=MON)
    shop.refund(outside, 1, at=MON)

    assert shop.seen(member, MON)[0] == 1


def test_a_receipt_counts_for_the_tier_it_was_paid_in_not_for_the_one_it_leads_to(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count"), audience={"tiers": ["base"]}, automatic=True)

    shop.buy(member, 6_000, at=SUN)  # gold afterwards

    assert paid(member) == [10]


def test_who_has_begun_stays_in_the_audience(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 2), audience={"tiers": ["base"]})
    shop.buy(member, at=SUN)

    shop.buy(member, 6_000, at=SUN)

    assert shop.seen(member, SUN) == (2, 2, "claimable")


# several steps


@pytest.mark.covers("D9")
def test_a_challenge_of_several_steps_shows_each_and_is_done_with_the_last(a_member, shop):
    member = a_member()
    steps = (a_step("check_in", 2, code="in"), a_step("purchase_amount", 50_00, code="buy"))
    task = shop.publish(*steps, title="三步挑战")
    shop.buy(member, 80, at=SUN)
    shop.check_in(member, at=SUN)

    (shown,) = shop.list(member, SUN)
    with pytest.raises(TaskUnfinished):
        shop.claim(member, task, SUN)
    shop.check_in(member, at=MON)

    assert (shown["progress"], shown["target"]) == (2, 3)
    bars = [(step["code"], step["progress"], step["target"]) for step in shown["steps"]]
    assert bars == [("in", 1, 2), ("buy", 5_000, 5_000)]
    assert [step["done"] for step in shown["steps"]] == [False, True]
    assert shop.claim(member, task, MON)["points_awarded"] == 10


@pytest.mark.covers("D9")
def test_steps_with_an_order_count_one_after_the_other(a_member, shop):
    member = a_member()
    steps = (a_step("check_in", code="in"), a_step("purchase_count", code="buy"))
    shop.publish(*steps, ordered=True)

    shop.buy(member, at=SUN)
    early = shop.seen(member, SUN)
    shop.check_in(member, at=SUN + HOUR)
    first = shop.seen(member, SUN + HOUR)
    shop.buy(member, at=SUN + 2 * HOUR)

    assert (early, first) == ((0, 2, "todo"), (1, 2, "todo"))
    assert shop.seen(member, SUN + 2 * HOUR) == (2, 2, "claimable")


# versions


def test_what_was_done_counts_by_the_version_in_force_then(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 2, skus=["tea"]))
    shop.buy(member, 60, at=SUN, items=ITEMS[:1], told=False)
    shop.buy(member, 40, at=SUN, items=ITEMS[1:], told=False)
    task = shop.publish(a_step("purchase_count", 2, skus=["cup"]), points=20, at=SUN + HOUR)

    shop.drain(SUN + HOUR)
    tea = shop.seen(member, SUN + HOUR)
    shop.buy(member, 40, at=SUN + 2 * HOUR, items=ITEMS[1:])

    assert tea == (1, 2, "todo")
    assert shop.claim(member, task, SUN + 2 * HOUR)["points_awarded"] == 20


def test_a_task_that_was_ended_is_on_no_list_and_pays_nobody(a_member, shop):
    member, version = a_member(), shop.write(a_step("check_in"))
    shop.check_in(member, at=SUN)
    who = {"staff_id": shop.admin, "key": a_key(route="retire")}
    ended = said(tasks.retire(version["id"], **who, now=SUN + HOUR))

    assert ended["state"] == "retired" and shop.list(member, SUN + HOUR) == []
    with pytest.raises(TaskMissed):
        shop.claim(member, version["task_id"], SUN + HOUR)


# merges


@pytest.mark.covers("D4")
def test_of_two_who_become_one_what_both_did_counts_for_one(a_member, shop):
    source, target = a_member(), a_member()
    task = shop.publish(a_step("purchase_count", 2))
    shop.publish(a_step("check_in", 9), code="in")
    for member in (source, target):
        shop.buy(member, at=SUN)
        shop.check_in(member, at=SUN)

    merges.merge(target, source, "同一人", actor="staff:1", key=a_key(route="m"), now=SUN)
    shop.drain(SUN)

    assert shop.seen(target, SUN) == (2, 2, "claimable")
    assert shop.seen(target, SUN, "in")[0] == 1, "a day is signed in once"
    assert shop.claim(target, task, SUN)["points_awarded"] == 10 and wrong() == []


@pytest.mark.covers("D4")
def test_what_one_of_two_claimed_is_not_paid_again_after_they_become_one(a_member, shop):
    source, target = a_member(), a_member()
    task = shop.publish(a_step("purchase_count"))
    bought = shop.buy(source, at=SUN)
    shop.claim(source, task, SUN)
    shop.buy(target, at=SUN)

    merges.merge(target, source, "同一人", actor="staff:1", key=a_key(route="m"), now=SUN)
    shop.drain(SUN)

    with pytest.raises(TaskClaimed):
        shop.claim(target, task, SUN)
    shop.refund(bought, at=SUN)
    assert claims(target) == ["claimed"], "the other receipt stands"


def test_what_a_merged_member_was_given_is_taken_back_from_the_one_who_is_left(a_member, shop):
    source, target = a_member(), a_member()
    shop.publish(a_step("purchase_count"), automatic=True)
    bought = shop.buy(source, 100, at=SUN)
    merges.merge(target, source, "同一人", actor="staff:1", key=a_key(route="m"), now=SUN)
    shop.drain(SUN)

    shop.refund(bought, at=SUN)

    assert (claims(target), balance(target), wrong()) == (["taken_back"], 0, [])
    assert one(Member.id, Member.id == target) == target
