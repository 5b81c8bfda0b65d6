"""Stores, and the rows a shopkeeper tunes."""

import pytest


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("K9")
def test_a_store_is_opened_under_a_code_of_its_own(admin):
    body = {"code": "SH-1", "name": "上海一店", "address": "人民路 1 号"}

    opened, twin = admin.post("/admin/stores", body), admin.post("/admin/stores", body)

    assert (opened.status_code, opened.json) == (201, {"id": opened.json["id"], **body})
    assert refused(twin) == (409, "name_taken")
    assert admin.get("/admin/stores").json["items"][-1] == opened.json


def test_an_address_may_be_left_out_and_a_code_and_a_name_may_not(admin):
    bodies = [
        {"code": "N", "name": "新店"},
        {"code": "N"},
        {"name": "新店"},
        {"code": "", "name": "新店"},
        {"code": "x" * 33, "name": "新店"},
        {"code": "M", "name": "店" * 65},
    ]

    answers = [admin.post("/admin/stores", body) for body in bodies]

    assert [answer.status_code for answer in answers] == [201, 400, 400, 400, 400, 400]
    assert answers[0].json["address"] == ""


@pytest.mark.covers("B1")
def test_the_tiers_are_listed_from_the_base(admin):
    answer = admin.get("/admin/tiers").json

    assert answer["next_cursor"] is None
    assert [(tier["code"], tier["growth_min"]) for tier in answer["items"]] == [
        ("base", 0),
        ("silver", 1000),
        ("gold", 5000),
        ("diamond", 20_000),
    ]
    assert all(set(tier) > {"code", "name", "growth_min"} for tier in answer["items"])


@pytest.mark.covers("C1")
def test_the_earning_rule_in_force_is_listed_with_its_version(admin):
    (rule,) = admin.get("/admin/earning-rules").json["items"]

    assert rule.pop("published_at") == rule.pop("created_at")
    assert rule == {
        "id": rule["id"],
        "code": "purchase",
        "version": 1,
        "name": "消费积分",
        "kind": "base",
        "trigger": "purchase",
        "priority": 0,
        "active": True,
        "terms": {"rate": {"points": 1, "per_fen": 100, "rounding": "full_units"}},
        "state": "published",
        "published_by": None,
    }


@pytest.mark.covers("D2")
def test_the_sign_in_ladder_is_listed_day_by_day(admin):
    items = admin.get("/admin/checkin-rules").json["items"]

    assert [(row["streak_day"], row["points"], row["bonus_points"]) for row in items] == [
        (1, 5, 0),
        (2, 5, 0),
        (3, 10, 0),
        (4, 10, 0),
        (5, 15, 0),
        (6, 15, 0),
        (7, 20, 50),
    ]
