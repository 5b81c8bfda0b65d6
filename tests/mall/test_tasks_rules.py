"""Versions of tasks: written, tried, put in force, ended; what could never be done is refused."""

import pytest

from mall import tasks
from mall.errors import (
    Malformed,
    NotFound,
    PeriodFixed,
    RulePublished,
    StepChanged,
    TaskNotInForce,
)
from models import Member, TaskVersion, db
from tests.makers import a_key
from tests.mall.books import rows, said
from tests.mall.task_books import SUN, a_step, days, shop

__all__ = ["shop"]
ORDER = {"ordered": True}
WINDOW = {"starts_on": SUN.date(), "ends_on": SUN.date()}


def publish(shop, version_id, at=SUN):
    who = {"staff_id": shop.admin, "key": a_key(route="publication")}
    return said(tasks.publish(version_id, **who, now=at))


def retire(shop, version_id, at=SUN):
    who = {"staff_id": shop.admin, "key": a_key(route="retirement")}
    return said(tasks.retire(version_id, **who, now=at))


def test_a_draft_is_on_no_list_until_it_is_published(a_member, shop):
    member, draft = a_member(), shop.write(a_step("check_in"), publish=False)
    before = shop.list(member, SUN)

    published = publish(shop, draft["id"])

    assert (draft["state"], published["state"], before) == ("draft", "published", [])
    assert shop.seen(member, SUN) == (0, 1, "todo")


def test_a_draft_can_be_changed_and_what_is_in_force_can_not(shop):
    draft = shop.write(a_step("check_in"), publish=False)

    changed = tasks.redraft(draft["id"], {"points": 7, "steps": [a_step("visit", 2)]})
    publish(shop, draft["id"])
    with pytest.raises(RulePublished):
        tasks.redraft(draft["id"], {"points": 8})

    assert (changed["points"], changed["steps"][0]["counts"]) == (7, "visit")
    assert rows(TaskVersion.points) == [(7,)]


def test_a_redraft_is_looked_over_as_a_draft_is(shop):
    draft = shop.write(a_step("check_in"), publish=False)

    with pytest.raises(Malformed):
        tasks.redraft(draft["id"], {"points": 0})
    with pytest.raises(NotFound):
        tasks.redraft(draft["id"] + 1, {"points": 1})

    assert rows(TaskVersion.points) == [(10,)]


def test_an_older_draft_can_not_replace_a_newer_version(shop):
    draft = shop.write(a_step("check_in"), publish=False)
    newer = shop.write(a_step("check_in"))

    for version in (draft, newer):
        with pytest.raises(RulePublished):
            publish(shop, version["id"])


def test_a_task_ends_once_and_a_later_version_begins_it_again(a_member, shop):
    member, version = a_member(), shop.write(a_step("check_in"))
    shop.check_in(member, at=SUN)

    ended = retire(shop, version["id"])
    with pytest.raises(TaskNotInForce):
        retire(shop, ended["id"])
    shop.publish(a_step("check_in", 2), at=SUN + days(1))

    assert shop.seen(member, SUN + days(1)) == (1, 2, "todo")


def test_a_draft_that_never_was_in_force_has_nothing_to_end(shop):
    draft = shop.write(a_step("check_in"), publish=False)

    with pytest.raises(TaskNotInForce):
        retire(shop, draft["id"])


def test_how_often_a_task_can_be_done_never_changes(shop):
    shop.publish(a_step("check_in"))

    with pytest.raises(PeriodFixed):
        shop.write(a_step("check_in"), period="daily")


def test_a_steps_code_counts_the_same_in_every_version(shop):
    shop.publish(a_step("check_in"))

    with pytest.raises(StepChanged):
        shop.write(a_step("purchase_count"))
    assert shop.write(a_step("purchase_count", code="other"))


@pytest.mark.parametrize(
    ("steps", "values", "field"),
    [
        ([a_step("check_in")], {"points": 0}, "points"),
        ([a_step("check_in")], {"bundle_code": "none"}, "bundle_code"),
        ([a_step("check_in")], {"audience": {"tiers": ["none"]}}, "audience"),
        ([a_step("check_in")], {"period": "window"}, "starts_on"),
        ([a_step("check_in")], {**WINDOW, "starts_on": SUN.date() + days(1)}, "ends_on"),
        ([a_step("check_in"), a_step("visit")], {}, "steps"),
        ([a_step("check_in")], ORDER, "ordered"),
        ([a_step("check_in", skus=["x"])], {}, "steps"),
        ([a_step("purchase_count", stores=[999])], {}, "steps"),
        ([a_step("redemption", rewards=[999])], {}, "steps"),
        ([a_step("tier_reached", tiers=["none"])], {}, "steps"),
        ([a_step("profile_completed", 2)], {}, "steps"),
        ([a_step("visit")], {"period": "each"}, "period"),
        ([a_step("visit", 2)], {"period": "each", "automatic": True}, "period"),
        ([a_step("purchase_amount")], {"period": "each", "automatic": True}, "period"),
    ],
)
def test_what_could_never_be_done_or_pay_is_refused_with_its_field(shop, steps, values, field):
    with pytest.raises(Malformed) as refusal:
        shop.write(*steps, **values)

    assert set(refusal.value.details["errors"]) == {field}
    assert rows(TaskVersion.id) == []


@pytest.mark.covers("D8")
def test_a_preview_says_how_many_members_a_version_is_for(a_member, shop):
    members = [a_member() for _ in range(4)]
    for member, ago in zip(members, (0, 6, 7, 400), strict=True):
        db.session.get_one(Member, member).joined_at = SUN - days(ago)
    db.session.commit()
    shop.buy(members[1], 6_000, at=SUN)

    said_of = [
        tasks.preview(shop.write(a_step("check_in"), publish=False, **each)["id"], now=SUN)
        for each in (
            {},
            {"audience": {"new_member_days": 7}},
            {"audience": {"tiers": ["gold"]}},
            {"audience": {"tiers": ["base"], "new_member_days": 8}},
        )
    ]

    assert [each["members"] for each in said_of] == [4, 2, 1, 2]
    assert {each["members_total"] for each in said_of} == {4}
