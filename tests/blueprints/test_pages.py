"""Every list: newest first, a page at a time, by a cursor that only we can make."""

import pytest
import sqlalchemy as sa

from mall import clock
from models import Alarm, Message, PointsReminder
from tests.blueprints.routes import TEMPLATE
from tests.makers import points_live
from tests.mall.books import by_hand

LISTS = {
    "/me/points/entries": "shopper",
    "/me/redemptions": "shopper",
    "/me/vouchers": "shopper",
    "/me/referrals": "shopper",
    "/rewards": "shopper",
    "/rewards/4/stores": "shopper",
    "/admin/audit": "admin",
    "/admin/staff": "admin",
    "/admin/policies": "admin",
    "/admin/rewards": "admin",
    "/admin/rewards/4/store-moves": "admin",
    "/admin/redemptions": "admin",
    "/admin/members": "admin",
    "/admin/points-adjustments": "admin",
    "/admin/stores": "admin",
    "/admin/holds": "admin",
    "/admin/ledger/alarms": "admin",
    "/admin/earning-rules": "admin",
    "/admin/outages": "admin",
    "/admin/bundles": "admin",
    "/admin/expiry-policies": "admin",
    "/admin/payment-rules": "admin",
    "/admin/points-payments": "admin",
    "/admin/points-reminders": "admin",
    "/admin/setting-changes": "admin",
    "/me/gifts": "shopper",
    "/clerk/actions": "clerk",
    "/admin/points-campaigns": "admin",
    "/me/purchases": "shopper",
    "/admin/purchases": "admin",
    "/admin/members/duplicates": "admin",
    "/admin/members/1/profile-changes": "admin",
    "/me/tier/changes": "shopper",
    "/admin/tier-rules": "admin",
    "/admin/tier-grants": "admin",
    "/admin/tier-changes": "admin",
    "/admin/message-templates": "admin",
    "/admin/tasks": "admin",
    "/admin/reviews": "admin",
    "/me/reviews": "shopper",
    "/me/messages": "shopper",
    "/admin/referral-rules": "admin",
    "/admin/referrals": "admin",
    "/admin/channels": "admin",
}
WHOLE = {
    "/admin/tiers",
    "/admin/checkin-rules",
    "/admin/settings",
    "/admin/jobs",
    "/admin/message-occasions",
}  # short by nature: one page
ASCENDING = {"/rewards", "/rewards/4/stores", "/admin/stores"}
NAMELESS = {
    "/me/referrals",
    "/admin/expiry-policies",
    "/admin/payment-rules",
}  # friends are another's; versions are numbers


@pytest.fixture
def full_shop(busy_shop, as_shopper):
    """A busy shop with points held, alarms raised, members who look like one, tiers given by hand."""
    admin, shopper = busy_shop["admin"], busy_shop["shopper"]
    for n in range(6):
        same = {"nickname": f"twin-{n % 3}", "birthday": "1990-01-01"}
        as_shopper(f"twin-{n}").patch("/me", same)
    for tier in ("silver", "gold", "diamond"):
        admin.post(f"/admin/members/{shopper.id}/tier-grants", {"tier": tier, "reason": "补偿"})
        admin.post("/admin/tier-rules", {"note": tier})
    for number in range(3):
        admin.post(f"/admin/members/{shopper.id}/holds", {"points": 1, "reason": "争议"})
        figures = {"expected": "1", "actual": "2", "found_at": clock.now()}
        named = {"check_name": "stock_is_moves", "subject": "reward", "subject_id": number}
        by_hand(sa.insert(Alarm).values(**named, **figures, note=""))
        points_live()
        admin.post("/admin/payment-rules", {"note": f"第 {number} 版"})
        bill = {"member_id": shopper.id, "receipt_no": f"P{number}", "bill_fen": 1_000}
        busy_shop["clerk"].post("/clerk/points-payments", {**bill, "points": 100})
        today = clock.business_day(clock.now())
        told = {"points": 1, "lots": 1, "expires_on": today, "step_days": number}
        row = {"member_id": shopper.id, "policy_version": 1, "created_at": clock.now(), **told}
        by_hand(sa.insert(PointsReminder).values(**row, state="waiting"))
        written = admin.post("/admin/message-templates", TEMPLATE).json
        texts = {name: written[name] for name in ("title_zh", "body_zh", "title_en", "body_en")}
        row = {"member_id": shopper.id, "event_id": 10**9 + number, "template_id": written["id"]}
        by_hand(
            sa.insert(Message).values(**row, **texts, occasion="thanks", created_at=clock.now())
        )
    return busy_shop


def pages(caller, path: str, limit: int) -> list[list[dict]]:
    """A list from its first page to its last."""
    found, cursor = [], ""
    for _ in range(200):
        answer = caller.get(f"{path}?limit={limit}{cursor}")
        assert answer.status_code == 200, answer.json
        found.append(answer.json["items"])
        if answer.json["next_cursor"] is None:
            return found
        cursor = f"&cursor={answer.json['next_cursor']}"
    raise AssertionError(f"{path} does not end")


def refused(answer) -> bool:
    return (answer.status_code, answer.json.get("code")) == (400, "malformed")


def test_every_documented_list_is_tried_here(contract):
    documented = {
        path.removeprefix("/api/v1").replace("{member_id}", "1").replace("{reward_id}", "4")
        for path, item in contract.document["paths"].items()
        for parameter in item.get("get", {}).get("parameters", [])
        if parameter["name"] == "cursor"
    }

    assert documented == set(LISTS)


def test_walking_every_page_gives_each_row_once_in_order(full_shop):
    walks = {
        path: [row for page in pages(full_shop[role], path, 1) for row in page]
        for path, role in LISTS.items()
    }

    whole = {path: full_shop[role].get(f"{path}?limit=100").json for path, role in LISTS.items()}

    assert {p: len(rows) for p, rows in walks.items() if len(rows) < 3} == {
        "/admin/earning-rules": 1
    }
    assert walks == {path: answer["items"] for path, answer in whole.items()}
    assert {answer["next_cursor"] for answer in whole.values()} == {None}
    for path in set(LISTS) - NAMELESS:
        ids = [row["id"] for row in walks[path]]
        assert ids == sorted(set(ids), reverse=path not in ASCENDING), path


def test_a_page_holds_as_many_as_were_asked_for_and_twenty_unasked(busy_shop, as_shopper, a_member):
    for _ in range(20):
        a_member()
    admin = busy_shop["admin"]

    lengths = [len(page) for page in pages(admin, "/admin/members", 10)]
    unasked = admin.get("/admin/members").json

    assert lengths == [10, 10, 4]
    assert len(unasked["items"]) == 20 and unasked["next_cursor"]


def test_a_row_that_comes_while_somebody_reads_moves_no_other(busy_shop, as_shopper):
    admin = busy_shop["admin"]
    before = [row["id"] for row in admin.get("/admin/members?limit=100").json["items"]]
    first = admin.get("/admin/members?limit=2").json
    as_shopper("late")

    second = admin.get(f"/admin/members?limit=100&cursor={first['next_cursor']}").json

    assert [row["id"] for row in first["items"] + second["items"]] == before


def test_a_cursor_that_is_not_ours_is_refused_by_every_list(busy_shop):
    made = busy_shop["admin"].get("/admin/members?limit=1").json["next_cursor"]
    name, place, tag = made.split(".")
    broken = ["", "x", "1", "..", "k2.1.", f"{name}.{place}", f"{name}.{int(place) + 1}.{tag}"]
    broken += [f"{name}.-1.{tag}", f"k9.{place}.{tag}", f"{made}x", made[:-1], made.upper()]
    broken += [
        "%00",
        "%FF",
        f"{name}.{'9' * 40}.{tag}",
        f"{name}.%D9%A1.{tag}",
        "a" * 65,
        "a" * 9999,
    ]

    answers = {
        (path, cursor): busy_shop[role].get(f"{path}?cursor={cursor}")
        for path, role in LISTS.items()
        for cursor in broken
    }

    assert [case for case, answer in answers.items() if not refused(answer)] == []


def test_the_cursor_of_another_list_is_refused(busy_shop):
    cursors = {
        path: busy_shop[role].get(f"{path}?limit=1").json["next_cursor"]
        for path, role in LISTS.items()
        if path not in ("/admin/earning-rules", "/admin/expiry-policies", "/admin/points-reminders")
    }

    answers = {
        (path, of): busy_shop[role].get(f"{path}?cursor={cursor}")
        for path, role in LISTS.items()
        for of, cursor in cursors.items()
        if of != path
    }

    assert [case for case, answer in answers.items() if not refused(answer)] == []
    assert len(answers) > 90


def test_a_limit_is_from_one_to_a_hundred(busy_shop):
    wrong = ["0", "101", "-1", "1.5", "1e1", "", "ten", "NaN", "9" * 5000]
    wrong += ["%D9%A3", "%EF%BC%93", "%2B3", "%203", "1_0", "3&limit=3", "3&limit=4"]

    answers = {
        (path, limit): busy_shop[role].get(f"{path}?limit={limit}")
        for path, role in LISTS.items()
        for limit in wrong
    }

    assert [case for case, answer in answers.items() if not refused(answer)] == []


def test_short_lists_come_whole_in_the_same_shape(as_role):
    answers = {path: as_role("admin").get(path).json for path in WHOLE}

    assert {path: answer["next_cursor"] for path, answer in answers.items()} == dict.fromkeys(WHOLE)
    assert min(len(answer["items"]) for answer in answers.values()) > 3
