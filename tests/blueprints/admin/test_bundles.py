"""Bundles in the console, and the gifts a shopper sees."""

import pytest

from mall import bundles, clock, points
from mall.atomic import atomic
from mall.bundles import Gift

WELCOME = {"code": "welcome", "name": "新人礼", "points": 30}


def give(member_id, code, ref_id):
    now = clock.now()
    with atomic():
        book = points.open_book([member_id], now=now)
        bundles.give_many([Gift(member_id, code, "test", ref_id)], book=book, now=now)
        book.write()


@pytest.mark.covers("H1")
def test_a_published_bundle_is_what_a_shopper_is_given_and_sees(as_staff, as_shopper, a_reward):
    admin, shopper, cup = as_staff("admin"), as_shopper("one"), a_reward()
    items = [{"reward_id": cup.id, "quantity": 2}]
    made = admin.post("/admin/bundles", {**WELCOME, "rewards": items})
    give(shopper.id, "welcome", "1")
    newer = admin.post("/admin/bundles", WELCOME)
    give(shopper.id, "welcome", "2")

    gifts = shopper.get("/me/gifts").json["items"]

    assert (made.status_code, made.json["version"], newer.json["version"]) == (201, 1, 2)
    assert [gift["rewards"] for gift in gifts] == [[], items]
    assert {(gift["name"], gift["points"], gift["state"]) for gift in gifts} == {
        ("新人礼", 30, "given")
    }
    assert [each["version"] for each in admin.get("/admin/bundles").json["items"]] == [2, 1]
    assert [each["title"] for each in shopper.get("/me/vouchers").json["items"]] == [cup.title]
    entry = shopper.get("/me/points/entries").json["items"][0]
    assert (entry["kind"], entry["delta"], entry["reason"]) == ("bundle", 30, "礼包：新人礼")
    assert as_shopper("two").get("/me/gifts").json["items"] == []


def test_a_bundle_of_nonsense_is_refused(as_staff, a_reward):
    admin, cup, sent = as_staff("admin"), a_reward(), a_reward(kind="delivery")
    wrong = [
        {},
        {**WELCOME, "points": 0},
        {**WELCOME, "points": -1},
        {**WELCOME, "rewards": [{"reward_id": sent.id}]},
        {**WELCOME, "rewards": [{"reward_id": 10**9}]},
        {**WELCOME, "rewards": [{"reward_id": cup.id}] * 2},
        {**WELCOME, "rewards": [{"reward_id": cup.id}] * 11},
        {**WELCOME, "colour": "red"},
    ]

    answers = [admin.post("/admin/bundles", body) for body in wrong]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
    assert admin.get("/admin/bundles").json["items"] == []
