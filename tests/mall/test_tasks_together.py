"""Tasks while many things happen at once: the worker, the shopper and the till meet."""

import pytest

from mall import merges, reactions, tasks
from mall.atomic import Contended
from mall.errors import TaskClaimed, TaskUnfinished
from models import EventReaction, TaskMark
from tests.makers import a_key
from tests.mall.books import balance, count, wrong
from tests.mall.task_books import SUN, a_step, claims, marks, paid, shop
from tests.mall.together import together

__all__ = ["shop"]


@pytest.mark.covers("D4", "D9")
def test_workers_and_a_shopper_who_count_at_once_count_once(app, a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 3), automatic=True)
    for _ in range(3):
        shop.buy(member, at=SUN, told=False)

    works = [lambda: reactions.drain(now=SUN)] * 2 + [lambda: tasks.listed(member, now=SUN)] * 3
    told = together(app, works)
    shop.drain(SUN)

    assert [each for each in told if isinstance(each, Exception)] == []
    assert [amount for _, _, amount in marks(member)] == [1, 1, 1] and paid(member) == [10]
    assert claims(member) == ["claimed"] and wrong() == []


def test_a_claim_and_the_refund_that_undoes_it_end_the_same_in_either_order(app, a_member, shop):
    member, task = a_member(), shop.publish(a_step("purchase_count"))
    bought = shop.buy(member, at=SUN)

    claim, _ = together(
        app, [lambda: shop.claim(member, task, SUN), lambda: shop.refund(bought, at=SUN)]
    )
    shop.drain(SUN)

    assert isinstance(claim, dict | TaskUnfinished), claim
    assert sum(paid(member)) == 0 and balance(member) == 0 and wrong() == []


def test_friends_who_are_told_of_together_wait_for_each_other_in_no_ring(app, a_member, shop):
    shop.publish(a_step("friend_bought", 2), automatic=True)
    people = [a_member() for _ in range(4)]
    for inviter, friend in ((1, 0), (2, 3)):
        shop.befriend(people[inviter], people[friend], at=SUN)
    for member in people:
        shop.buy(member, at=SUN, told=False)

    works = [lambda member=member: tasks.listed(member, now=SUN) for member in people]
    told = together(app, [*works, lambda: reactions.drain(now=SUN)])
    shop.drain(SUN)

    assert [each for each in told if isinstance(each, Exception)] == []
    assert count(TaskMark) == 2 and wrong() == []


def test_a_merge_and_a_claim_at_once_pay_once(app, a_member, shop):
    source, target = a_member(), a_member()
    task = shop.publish(a_step("purchase_count"))
    for member in (source, target):
        shop.buy(member, at=SUN)

    def join():
        key = a_key(route="merge")
        return merges.merge(target, source, "同一人", actor="staff:1", key=key, now=SUN)

    claim, merged = together(app, [lambda: shop.claim(source, task, SUN), join])
    shop.drain(SUN)

    assert not isinstance(merged, Exception) or isinstance(merged, Contended)
    if isinstance(claim, dict):
        with pytest.raises(TaskClaimed):
            shop.claim(target, task, SUN)
    assert len(paid(source)) + len(paid(target)) <= 1 and wrong() == []


def test_a_fact_that_was_told_is_told_no_second_time(a_member, shop):
    member = a_member()
    shop.publish(a_step("purchase_count", 9))
    shop.buy(member, at=SUN)
    before = count(EventReaction, EventReaction.reaction == "advance_tasks")

    shop.drain(SUN)

    assert (before, count(EventReaction, EventReaction.reaction == "advance_tasks")) == (1, 1)


def test_a_merge_settles_more_periods_than_are_settled_at_once(a_member, shop, monkeypatch):
    monkeypatch.setattr("mall.tasks.count.SETTLED_AT_ONCE", 1)
    source, target = a_member(), a_member()
    for code in "abc":
        shop.publish(a_step("purchase_count", 2), code=code, automatic=True)
    for member in (source, target):
        shop.buy(member, at=SUN)

    key = a_key(route="merge")
    merges.merge(target, source, "同一人", actor="staff:1", key=key, now=SUN)
    shop.drain(SUN)

    assert paid(target) == [10, 10, 10] and wrong() == []
