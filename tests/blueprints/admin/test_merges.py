"""Merging over HTTP: preview, merge, and where the old member's ways lead."""

import pytest


@pytest.mark.covers("A4")
def test_an_admin_looks_and_then_merges(as_staff, as_shopper, grant_points):
    admin, old, new = as_staff("admin"), as_shopper("old"), as_shopper("new")
    grant_points(old, 70)
    card = old.get("/me/card").json["card_no"]
    path = f"/admin/members/{new.id}/merge"

    told = admin.get(f"{path}?from_member_id={old.id}").json
    done = admin.post(path, {"from_member_id": old.id, "reason": "同一人两个微信"})

    assert (told["from"]["points"], told["after"]["points"]) == (70, 70)
    assert done.status_code == 201 and done.json["after"]["points"] == 70
    entered = as_shopper("old")
    assert entered.id == new.id and entered.get("/me/card").json["points"]["available"] == 70
    assert [each["id"] for each in admin.get(f"/admin/members?q={card}").json["items"]] == [new.id]
    seen, gone = (admin.get(f"/admin/members/{each}").json for each in (new.id, old.id))
    assert (seen["merged_from"], gone["merged_into"]) == ([old.id], new.id)
    assert gone["account_state"] == "closed"
    assert old.id not in [each["id"] for each in admin.get("/admin/members").json["items"]]
    entry = entered.get("/me/points/entries").json["items"][0]
    assert (entry["kind"], entry["reason"]) == ("merge_in", "会员合并转入")


def test_a_merge_with_oneself_or_nobody_is_refused(as_staff, as_shopper):
    admin, shopper = as_staff("admin"), as_shopper("one")
    path = f"/admin/members/{shopper.id}/merge"

    answers = [
        admin.post(path, {"from_member_id": each, "reason": "错"}) for each in (shopper.id, 9_999)
    ]

    assert [(a.status_code, a.json["code"]) for a in answers] == [
        (400, "same_member"),
        (404, "not_found"),
    ]


@pytest.mark.covers("A4")
def test_duplicates_are_listed_until_they_are_merged(as_staff, as_shopper):
    admin, twins = as_staff("admin"), [as_shopper("a"), as_shopper("b")]
    for each in twins:
        each.patch("/me", {"nickname": "小红", "birthday": "1990-02-03"})

    (listed,) = admin.get("/admin/members/duplicates").json["items"]

    assert listed["id"] == twins[0].id
    assert listed["looks_like"] == [{"reason": "same_name_and_birthday", "members": [twins[1].id]}]
    body = {"from_member_id": twins[1].id, "reason": "同一人"}
    admin.post(f"/admin/members/{twins[0].id}/merge", body)
    assert admin.get("/admin/members/duplicates").json["items"] == []
