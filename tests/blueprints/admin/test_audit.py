"""Every change in the console is in the audit log: who, what, before and after."""

import pytest

from tests.blueprints.routes import REWARD
from tests.mall.together import together

CHANGES_NOTHING = {  # they compute, and keep nothing but their answer
    "/api/v1/admin/earning-rules/dry-runs",
    "/api/v1/admin/earning-rules/back-tests",
    "/api/v1/admin/expiry-policies/previews",
}


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def log(as_staff):
    """The entries of some kind, the oldest first."""
    owner = as_staff("owner")

    def entries(**only):
        asked = "&".join(f"{name}={value}" for name, value in only.items())
        return owner.get(f"/admin/audit?limit=100&{asked}").json["items"][::-1]

    return entries


@pytest.mark.covers("K7")
def test_every_route_that_changes_something_is_audited(app):
    changing = {
        rule.rule: app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/admin/") and rule.methods & {"POST", "PATCH", "DELETE"}
    }

    unaudited = {path for path, view in changing.items() if not hasattr(view, "audited")}

    assert unaudited == CHANGES_NOTHING and len(changing) > 40


@pytest.mark.covers("K7")
def test_a_change_says_what_was_there_before_and_what_is_now(admin, log, hired):
    made = admin.post("/admin/rewards", REWARD).json
    tag = {"If-Match": '"1"'}
    admin.patch(f"/admin/rewards/{made['id']}", {"price_points": 9}, headers=tag)

    added, changed = log(subject_kind="reward", subject_id=made["id"])

    assert (added["action"], added["before"]) == ("reward.add", None)
    assert added["after"]["title"] == REWARD["title"]
    assert (changed["action"], changed["actor"]) == ("reward.change", f"staff:{hired['admin']}")
    told = [
        (when["price_points"], when["version"]) for when in (changed["before"], changed["after"])
    ]
    assert told == [(1, 1), (9, 2)]
    assert changed["address"] == "127.0.0.1"


def test_a_change_of_several_rows_shows_all_of_them(admin, log):
    version = next(t for t in admin.get("/admin/tiers").json["items"] if t["code"] == "silver")
    tag = {"If-Match": f'"{version["version"]}"'}
    assert admin.patch("/admin/tiers/silver", {"name": "银"}, headers=tag).status_code == 200

    (changed,) = log(action="tier.change")

    assert (changed["subject_id"], changed["before"]["name"]) == ("silver", "银卡会员")
    assert changed["after"]["name"] == "银" and "points_percent" in changed["after"]


@pytest.mark.covers("K7")
def test_what_was_refused_or_asked_again_is_not_noted_twice(admin, log):
    key = "the-same-key-twice"
    made = [admin.post("/admin/rewards", REWARD, key=key) for _ in range(2)]
    admin.patch(f"/admin/rewards/{made[0].json['id']}", {"title": "x"}, headers={"If-Match": '"7"'})
    admin.post("/admin/rewards/999/stock-moves", {"quantity": 1, "reason": "count"})

    assert made[0].json == made[1].json
    assert [entry["action"] for entry in log()] == ["reward.add"]


@pytest.mark.covers("K7")
def test_nothing_that_names_a_member_is_in_it(admin, as_shopper, log):
    shopper = as_shopper("one")
    shopper.post("/me/phone", {"code": "phone-13812345678"})
    shopper.patch("/me", {"nickname": "小满满", "birthday": "1990-02-03"})

    admin.patch(f"/admin/members/{shopper.id}", {"city": "上海", "reason": "更正"})

    (corrected,) = log(action="member.correct")
    assert (corrected["before"]["city"], corrected["after"]["city"]) == ("", "****")
    assert corrected["after"]["nickname"] == "****" and corrected["after"]["gender"] == "unknown"
    for told in ("小满满", "1990", "上海", "1381", "openid-one", "phone_sealed", "phone_hash"):
        assert told not in str(corrected)


def test_an_import_is_noted_with_what_came_of_it(admin, log):
    csv = "external_id,nickname\nm-1,小明\n".encode()

    admin.post("/admin/imports/members", data=csv, headers={"Content-Type": "text/csv"})

    (imported,) = log(action="members.import")
    assert imported["after"]["created"] == 1


@pytest.mark.covers("K4", "K7")
def test_only_who_answers_for_the_mall_reads_it(as_role):
    statuses = {
        role: as_role(role).get("/admin/audit").status_code
        for role in ("nobody", "shopper", "clerk", "manager", "analyst", "admin", "owner")
    }

    assert statuses == {
        **{"nobody": 401, "shopper": 403, "clerk": 403, "manager": 403},
        **{"analyst": 403, "admin": 200, "owner": 200},
    }


@pytest.mark.covers("K7")
def test_the_chain_holds_after_many_changed_things_at_once(app, admin, as_staff, a_reward, log):
    rewards = [a_reward(units=1).id for _ in range(8)]
    move = {"quantity": 1, "reason": "count"}

    together(
        app,
        [
            lambda reward=reward: admin.post(f"/admin/rewards/{reward}/stock-moves", move)
            for reward in rewards * 2
        ],
    )

    chain = as_staff("owner").get("/admin/audit/verification").json
    assert (chain["entries"], chain["broken_at"]) == (16, None)
    moved = log(action="reward.move_stock")
    assert sorted(int(entry["subject_id"]) for entry in moved) == sorted(rewards * 2)
    assert all(entry["after"]["units_left"] - entry["before"]["units_left"] == 1 for entry in moved)
