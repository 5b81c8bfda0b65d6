"""Profiles: complete by the shop's own fields, a birthday once, each change remembered."""

import pytest

from models import Event
from tests.mall.books import rows


@pytest.fixture
def who(as_staff, as_shopper):
    return as_staff("admin"), as_shopper("somebody")


@pytest.mark.covers("A3")
def test_a_birthday_is_set_once_then_only_by_an_admin_with_a_reason(who):
    admin, shopper = who
    path = f"/admin/members/{shopper.id}"
    shopper.patch("/me", {"birthday": "1990-02-03"})

    again = shopper.patch("/me", {"birthday": "1991-02-03"})
    nameless = admin.patch(path, {"birthday": "1991-02-03"})
    corrected = admin.patch(path, {"birthday": "1991-02-03", "reason": "身份证核对"})

    assert (again.status_code, again.json["code"]) == (409, "birthday_fixed")
    assert nameless.status_code == 400
    assert corrected.json["birthday"] == "1991-02-03"
    assert shopper.get("/me").json["birthday"] == "1991-02-03"
    changes = admin.get(f"{path}/profile-changes").json["items"]
    told = [(c["before"], c["after"], c["reason"]) for c in changes]
    assert told == [("1990-02-03", "1991-02-03", "身份证核对"), ("", "1990-02-03", "")]
    assert changes[0]["actor"].startswith("staff:")
    assert changes[1]["actor"] == f"member:{shopper.id}"


@pytest.mark.covers("A3")
def test_complete_is_what_the_shop_asks_for(who):
    admin, shopper = who
    shopper.patch("/me", {"nickname": "小明"})
    assert shopper.get("/me").json["completeness_percent"] == 20

    tuned = admin.post("/admin/settings/profile_fields", {"value": ["nickname", "birthday"]})

    assert tuned.json["value"] == ["nickname", "birthday"]
    assert shopper.get("/me").json["completeness_percent"] == 50
    done = shopper.patch("/me", {"birthday": "1990-02-03"}).json
    assert done["completeness_percent"] == 100
    told = [
        row[0]["completeness_percent"] for row in rows(Event.payload, where=CHANGED, order=Event.id)
    ]
    assert told == [20, 100]


CHANGED = [Event.kind == "profile_changed"]


def test_what_is_the_same_already_is_no_change(who):
    admin, shopper = who
    for _ in range(2):
        shopper.patch("/me", {"city": "上海"})

    path = f"/admin/members/{shopper.id}/profile-changes"
    assert [each["field"] for each in admin.get(path).json["items"]] == ["city"]


def test_a_correction_of_nobody_or_of_nothing_is_refused(who):
    admin, shopper = who

    nobody = admin.patch("/admin/members/9999", {"city": "上海", "reason": "更正"})
    nothing = admin.patch(f"/admin/members/{shopper.id}", {"reason": "更正"})
    twice = admin.post("/admin/settings/profile_fields", {"value": ["city", "city"]})

    assert (nobody.status_code, nothing.status_code, twice.status_code) == (404, 400, 400)
