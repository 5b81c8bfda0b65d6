"""Rules with versions: drafted, looked at, published, carried to the members."""

from importlib import import_module

import pytest

from mall import tiers
from mall.errors import (
    BaseTierFixed,
    ChangedMeanwhile,
    Malformed,
    NotFound,
    TierRuleOutdated,
    TierRulePublished,
    TierTaken,
    UnknownTier,
)
from models import GrowthEntry, Tier, TierRule, TierStanding
from tests.makers import a_key
from tests.mall.books import count, one, rows, said, wrong
from tests.mall.tier_books import changes, day, days, growth, shop, tier

__all__ = ["shop"]
JAN = day("2027-01-10")
LOWER = {"silver": 500}


@pytest.fixture
def five(a_member, shop):
    """Members who have bought for so much."""
    members = {yuan: a_member() for yuan in (0, 499, 500, 1000, 5000)}
    for yuan, member in members.items():
        if yuan:
            shop.buy(member, yuan, at=JAN)
    return members


def counts(seen):
    return (seen["members"], seen["up"], seen["down"])


# drafts and previews


@pytest.mark.covers("B14")
def test_a_preview_counts_who_would_rise_and_who_would_fall_and_changes_nothing(five, shop):
    drafted = shop.draft(
        at=JAN, window_kind="rolling", window_days=30, thresholds={"silver": 500, "gold": 6000}
    )

    seen = tiers.preview(drafted["id"], now=JAN)

    assert counts(seen) == (5, 1, 1)
    by_tier = {
        each["tier"]: (each["members_now"], each["members_then"]) for each in seen["by_tier"]
    }
    assert by_tier == {"base": (3, 2), "silver": (1, 3), "gold": (1, 0), "diamond": (0, 0)}
    assert [(each["member_id"], each["direction"]) for each in seen["samples"]] == [
        (five[500], "up"),
        (five[5000], "down"),
    ]
    assert [tier(member) for member in five.values()] == ["base"] * 3 + ["silver", "gold"]
    assert one(Tier.growth_min, Tier.code == "silver") == 1000


@pytest.mark.covers("B14", "B2")
def test_a_preview_of_other_weights_counts_anew_and_publishing_does_what_it_said(five, shop):
    drafted = shop.draft(at=JAN, spend_weight_percent=200, recount=True)

    seen = tiers.preview(drafted["id"], now=JAN)
    who = {"staff_id": shop.admin, "key": a_key(route="publish")}
    tiers.drafts.publish(drafted["id"], effective_at=None, **who, now=JAN)
    shop.review(JAN)

    # 500 and 1000 become 1000 and 2000, 5000 becomes 10000: one rises
    assert counts(seen) == (5, 1, 0)
    assert [tier(member) for member in five.values()] == ["base"] * 2 + ["silver"] * 2 + ["gold"]
    assert [growth(member) for member in five.values()] == [0, 998, 1000, 2000, 10_000]
    assert changes(five[500]) == [("base", "silver", "rule")] and wrong() == []


def test_a_preview_leaves_those_who_have_a_tier_by_hand(five, shop):
    shop.grant(five[5000], "gold", at=JAN)
    drafted = shop.draft(at=JAN, window_kind="rolling", thresholds={"gold": 6000})

    assert counts(tiers.preview(drafted["id"], now=JAN)) == (5, 0, 0)


def test_a_preview_looks_at_everybody_batch_by_batch(five, shop, monkeypatch):
    monkeypatch.setattr(import_module("mall.tiers.preview"), "LOOKED_AT_ONCE", 2)
    drafted = shop.draft(at=JAN, thresholds=LOWER)

    assert counts(tiers.preview(drafted["id"], now=JAN)) == (5, 1, 0)


@pytest.mark.covers("B14")
def test_a_version_keeps_what_a_draft_does_not_say_and_is_never_changed(shop):
    first = shop.rules(at=JAN, growth_per_visit=7, window_kind="year")
    second = shop.rules(at=JAN, grace_days=9)

    assert (first["version"], second["version"]) == (2, 3)
    assert (second["growth_per_visit"], second["window_kind"]) == (7, "year")
    with pytest.raises(TierRulePublished):
        tiers.drafts.redraft(first["id"], {"grace_days": 1})
    with pytest.raises(TierRulePublished):
        who = {"staff_id": shop.admin, "key": a_key(route="publish")}
        tiers.drafts.publish(first["id"], effective_at=None, **who, now=JAN)
    history = rows(TierRule.version, TierRule.published_by, order=TierRule.id)
    assert history == [(1, None), (2, shop.admin), (3, shop.admin)]


def test_a_draft_can_be_changed_until_it_is_published(shop):
    drafted = shop.draft(at=JAN, grace_days=1)

    changed = tiers.drafts.view(tiers.drafts.redraft(drafted["id"], {"grace_days": 2}))

    assert (changed["grace_days"], changed["version"]) == (2, None)


def test_a_draft_of_nonsense_is_refused(shop):
    for refusal, thresholds in (
        (UnknownTier, {"tin": 5}),
        (BaseTierFixed, {"base": 5}),
        (TierTaken, {"silver": 5000}),
        (TierTaken, {"silver": 7, "gold": 7}),
    ):
        with pytest.raises(refusal):
            shop.draft(at=JAN, thresholds=thresholds)
    with pytest.raises(NotFound):
        tiers.preview(404, now=JAN)
    assert count(TierRule) == 1


# publishing


@pytest.mark.covers("B14")
def test_a_version_counts_from_its_moment_on(five, shop):
    shop.rules(at=JAN, effective_at=JAN + days(2), thresholds=LOWER, growth_per_yuan=5)
    shop.review(JAN + days(1))
    shop.buy(five[0], 1, at=JAN + days(1))
    before = tier(five[500])

    shop.review(JAN + days(2))
    shop.buy(five[0], 1, at=JAN + days(2))

    assert (before, tier(five[500])) == ("base", "silver")
    assert rows(GrowthEntry.delta_value, where=[GrowthEntry.member_id == five[0]]) == [(1,), (5,)]


def test_a_version_takes_effect_neither_in_the_past_nor_before_the_last(shop):
    shop.rules(at=JAN, effective_at=JAN + days(5))

    with pytest.raises(TierRuleOutdated):
        shop.rules(at=JAN, effective_at=JAN + days(4))
    with pytest.raises(Malformed):
        shop.rules(at=JAN, effective_at=JAN - days(1))


def test_thresholds_can_change_places(shop):
    shop.rules(at=JAN, thresholds={"silver": 5000, "gold": 1000})

    assert [each.code for each in tiers.ladder()] == ["base", "gold", "silver", "diamond"]


def test_who_reaches_a_lowered_threshold_rises_and_nobody_falls_at_once(five, shop):
    shop.rules(at=JAN, thresholds={"silver": 500, "gold": 6000})
    shop.review(JAN)

    assert [tier(member) for member in five.values()] == ["base"] * 2 + ["silver"] * 2 + ["gold"]
    assert changes(five[500]) == [("base", "silver", "rule")]


def test_a_version_is_carried_to_all_members_batch_by_batch(five, shop, monkeypatch):
    monkeypatch.setattr(import_module("mall.tiers.settle"), "SETTLED_AT_ONCE", 2)
    shop.rules(at=JAN, thresholds={"silver": 1, "gold": 2, "diamond": 3})

    tiers.review(now=JAN)  # and then the process is killed
    half = [tier(member) for member in five.values()]
    shop.review(JAN)

    assert half == ["base", "diamond", "base", "silver", "gold"]
    assert [tier(member) for member in five.values()] == ["base"] + ["diamond"] * 4
    assert one(TierRule.settled_at, TierRule.version == 2) == JAN


def test_another_window_starts_every_keep_by_date_anew_and_the_same_keeps_them(five, shop):
    shop.rules(at=JAN, window_kind="rolling", window_days=30)
    shop.review(JAN)
    first = rows(TierStanding.review_at, order=TierStanding.member_id)
    shop.rules(at=JAN + days(3), grace_days=5)
    shop.review(JAN + days(3))
    same = rows(TierStanding.review_at, order=TierStanding.member_id)
    shop.rules(at=JAN + days(4), window_kind="year")
    shop.review(JAN + days(4))

    assert first == same == [(day("2027-02-10", 0),)] * 2
    assert rows(TierStanding.review_at) == [(day("2028-01-01", 0),)] * 2


# the tiers themselves


@pytest.mark.covers("B1")
def test_a_tier_can_be_added_and_who_has_its_growth_rises(five, shop):
    body = {"code": "bronze", "name": "铜卡会员", "growth_min": 100}
    who = {"staff_id": shop.admin, "key": a_key(route="tiers")}

    made = said(tiers.perks.add(body, **who, now=JAN))
    shop.review(JAN)

    assert (made["growth_min"], made["points_percent"]) == (100, 100)
    assert [each.code for each in tiers.ladder()][:3] == ["base", "bronze", "silver"]
    assert [tier(five[yuan]) for yuan in (0, 499, 500, 1000)] == [
        "base",
        "bronze",
        "bronze",
        "silver",
    ]
    assert one(TierRule.thresholds, TierRule.version == 2) == {"bronze": 100}


@pytest.mark.covers("B1")
def test_a_base_tier_always_exists_and_no_two_share_a_threshold(shop):
    def change(code, version=0, **values):
        return tiers.perks.change(code, values, version=version, staff_id=shop.admin, now=JAN)

    for refusal, code, values in (
        (BaseTierFixed, "base", {"growth_min": 5}),
        (TierTaken, "silver", {"growth_min": 0}),
        (TierTaken, "silver", {"growth_min": 5000}),
        (NotFound, "tin", {"growth_min": 7}),
    ):
        with pytest.raises(refusal):
            change(code, **values)
    who = {"staff_id": shop.admin, "key": a_key(route="tiers")}
    with pytest.raises(TierTaken):
        tiers.perks.add({"code": "silver", "name": "x", "growth_min": 7}, **who, now=JAN)
    assert change("base", name="会员", growth_min=0)["name"] == "会员"
    with pytest.raises(ChangedMeanwhile):
        change("base", name="x")
    assert rows(Tier.code, Tier.growth_min, order=Tier.growth_min)[0] == ("base", 0)
