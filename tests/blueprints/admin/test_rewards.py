"""Rewards and their stock, in the console."""

from datetime import timedelta

import pytest

from mall import clock

LEAST = {"title": "杯子", "kind": "pickup", "price_points": 100}
ALL = {
    "title": "茶",
    "description": "一盒",
    "kind": "delivery",
    "category": "饮料",
    "image_url": "https://example.com/tea.png",
    "price_points": 0,
    "tier_prices": {"gold": 3},
    "price_fen": 990,
    "per_member_limit": 2,
    "limit_period": "week",
    "tier_min": "gold",
    "opens_at": "2026-01-01T00:00:00+08:00",
    "closes_at": "2027-01-01T00:00:00+08:00",
    "published": False,
    "hot": True,
    "stock_by_store": False,
    "sort": -5,
    "low_stock_units": 0,
    "voucher_lasts_days": 3650,
}
COUNTED = {
    "id",
    "units_stocked",
    "units_left",
    "units_promised",
    "stock_state",
    "version",
    "created_at",
}


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def change(admin):
    """Change a reward as somebody who has just read it."""

    def patch(reward_id: int, body: dict, **headers: str):
        path = f"/admin/rewards/{reward_id}"
        headers = headers or {"If-Match": admin.get(path).headers["ETag"]}
        return admin.patch(path, body, headers=headers)

    return patch


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def move(admin, reward_id: int, quantity: int, reason: str = "purchase", **more):
    body = {"quantity": quantity, "reason": reason, **more}
    return admin.post(f"/admin/rewards/{reward_id}/stock-moves", body)


@pytest.mark.covers("E4")
def test_a_title_a_kind_and_a_price_are_enough(admin):
    answer = admin.post("/admin/rewards", LEAST)

    assert answer.status_code == 201
    assert set(answer.json) == set(ALL) | COUNTED
    assert {name: answer.json[name] for name in set(ALL) - set(LEAST)} == {
        "description": "",
        "category": "",
        "image_url": "",
        "tier_prices": {},
        "price_fen": 0,
        "per_member_limit": None,
        "limit_period": "ever",
        "tier_min": None,
        "opens_at": None,
        "closes_at": None,
        "published": True,
        "hot": False,
        "stock_by_store": False,
        "sort": 0,
        "low_stock_units": 5,
        "voucher_lasts_days": 30,
    }
    assert [answer.json[name] for name in ("units_left", "version", "stock_state")] == [
        0,
        1,
        "sold_out",
    ]


@pytest.mark.covers("E4")
def test_every_field_comes_back_as_it_was_given(admin):
    answer = admin.post("/admin/rewards", ALL)

    seen = admin.get(f"/admin/rewards/{answer.json['id']}")

    assert {name: answer.json[name] for name in ALL} == ALL
    assert seen.json == answer.json == admin.get("/admin/rewards").json["items"][0]


@pytest.mark.covers("E4", "E3")
def test_a_new_reward_is_on_the_shelf_as_soon_as_it_has_stock(admin, as_shopper):
    shopper = as_shopper("one")
    reward_id = admin.post("/admin/rewards", {**LEAST, "price_points": 0}).json["id"]
    body = {"reward_id": reward_id, "quantity": 1}

    before = shopper.post("/me/redemptions", body)
    move(admin, reward_id, 1)
    after = shopper.post("/me/redemptions", body)

    assert refused(before) == (409, "sold_out")
    assert after.status_code == 201


def test_what_is_missing_or_makes_no_sense_is_refused(admin):
    wrong = [{name: value for name, value in LEAST.items() if name != missing} for missing in LEAST]
    wrong += [
        {**LEAST, **more}
        for more in (
            {"kind": "gift"},
            {"tier_min": "platinum"},
            {"tier_min": ""},
            {"title": ""},
            {"limit_period": "year"},
            {"limit_period": ""},
            {"limit_period": None},
            {"limit_period": 7},
            {"title": "x" * 101},
            {"published": "true"},
            {"published": 1},
            {"hot": None},
            {"image_url": "http://example.com/x.png"},
            {"image_url": "javascript:alert(1)"},
            {"image_url": "/x.png\n"},
            {"image_url": "//evil.example/x.png"},
            {"image_url": "/\\evil.example/x.png"},
            {"image_url": "/x y.png"},
            {"opens_at": "2026-01-01T00:00:00"},
            {"opens_at": "9999-12-31T23:59:59-12:00"},
            {"closes_at": "0001-01-01T00:00:00+14:00"},
            {"opens_at": ALL["closes_at"], "closes_at": ALL["opens_at"]},
            {"opens_at": ALL["opens_at"], "closes_at": ALL["opens_at"]},
            {"units_left": 5},
            {"version": 2},
        )
    ]

    answers = [admin.post("/admin/rewards", body) for body in wrong]

    assert [refused(answer) for answer in answers] == [(400, "malformed")] * len(wrong)
    assert admin.get("/admin/rewards").json["items"] == []


@pytest.mark.covers("E4")
def test_a_change_names_the_version_it_is_made_of(change, admin, a_reward):
    reward = a_reward()
    path = f"/admin/rewards/{reward.id}"
    etag = admin.get(path).headers["ETag"]

    answers = [
        change(reward.id, {"title": title}, **{"If-Match": match})
        for title, match in (("一", etag), ("二", etag), ("三", "2"), ("四", '"4"'))
    ]

    assert [answer.status_code for answer in answers] == [200, 409, 200, 409]
    assert refused(answers[1]) == (409, "changed_meanwhile")
    assert answers[1].json["version"] == 2
    assert [answers[n].headers["ETag"] for n in (0, 2)] == ['"2"', '"3"']
    assert admin.get(path).json["title"] == "三"


def test_a_change_without_a_version_is_refused(admin, a_reward):
    path = f"/admin/rewards/{a_reward().id}"

    missing = admin.patch(path, {"title": "x"})
    unread = [
        admin.patch(path, {"title": "x"}, headers={"If-Match": match})
        for match in ("", "*", "x", 'W/"1"', "1.0", "-1", "9" * 20, "１", '"1", "2"')
    ]

    assert refused(missing) == (400, "if_match_missing")
    assert {refused(answer) for answer in unread} == {(400, "malformed")}
    assert admin.get(path).json["version"] == 1


@pytest.mark.covers("E4")
def test_a_change_touches_only_what_it_names(change, admin, a_reward):
    reward = a_reward(category="家居", per_member_limit=2)
    before = admin.get(f"/admin/rewards/{reward.id}").json

    after = change(reward.id, {"title": "新名", "per_member_limit": None}).json

    assert after == {**before, "title": "新名", "per_member_limit": None, "version": 2}


def test_a_window_is_never_turned_round_also_by_halves(change, admin, a_reward):
    now = clock.now().replace(microsecond=0)
    reward = a_reward(opens_at=now + timedelta(days=1), closes_at=now + timedelta(days=2))
    before = admin.get(f"/admin/rewards/{reward.id}").json

    answers = [
        change(reward.id, {"closes_at": now.isoformat()}),
        change(reward.id, {"opens_at": (now + timedelta(days=3)).isoformat()}),
        change(reward.id, {"opens_at": before["closes_at"]}),
    ]

    assert {refused(answer) for answer in answers} == {(400, "malformed")}
    assert admin.get(f"/admin/rewards/{reward.id}").json == before


@pytest.mark.covers("E3")
def test_a_raised_limit_holds_from_the_next_redemption_on(change, a_reward, as_shopper):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, per_member_limit=1)
    body = {"reward_id": reward.id, "quantity": 1}
    before = [shopper.post("/me/redemptions", body).status_code for _ in range(2)]

    change(reward.id, {"per_member_limit": 2})
    after = [shopper.post("/me/redemptions", body).status_code for _ in range(2)]

    assert (before, after) == ([201, 409], [201, 409])


@pytest.mark.covers("E3")
def test_stock_comes_and_goes_with_a_reason_and_a_note(admin, a_reward):
    reward = a_reward(units=0)

    moves = [
        move(admin, reward.id, 10, note="第一批", unit_cost_fen=990),
        move(admin, reward.id, -3, "damage"),
        move(admin, reward.id, -1, "count"),
        move(admin, reward.id, 1, "return", unit_cost_fen=0),
    ]

    assert [(a.status_code, a.json["units_left"]) for a in moves] == [
        (201, 10),
        (201, 7),
        (201, 6),
        (201, 7),
    ]
    first = moves[0].json["move"]
    assert first == {
        "id": first["id"],
        "quantity": 10,
        "reason": "purchase",
        "note": "第一批",
        "unit_cost_fen": 990,
        "store_id": None,
        "created_at": first["created_at"],
    }
    assert [a.json["move"]["unit_cost_fen"] for a in moves[1:]] == [None, None, 0]


@pytest.mark.covers("E3")
def test_what_is_promised_is_never_taken_out(admin, a_reward, as_shopper, redeem):
    reward = a_reward(price_points=0, units=3)
    redeem(as_shopper("one"), reward)

    refusal, rest = move(admin, reward.id, -3, "count"), move(admin, reward.id, -2, "count")

    assert refused(refusal) == (409, "stock_promised")
    assert refusal.json["units_left"] == 2
    assert (rest.status_code, rest.json["units_left"]) == (201, 0)


def test_a_reward_holds_a_thousand_million_units_and_no_more(admin, a_reward):
    reward = a_reward(units=0)

    answers = [move(admin, reward.id, quantity) for quantity in (10**9, 1, 10**9, -1, 2, 1)]

    assert [answer.status_code for answer in answers] == [201, 409, 409, 201, 409, 201]
    assert refused(answers[1]) == (409, "too_many_units")
    assert answers[1].json["limit"] == 10**9


def test_a_move_has_one_of_four_reasons(admin, a_reward):
    reward = a_reward()

    answers = [move(admin, reward.id, 1, reason) for reason in ("theft", "", "Purchase")]

    assert {refused(answer) for answer in answers} == {(400, "malformed")}


@pytest.mark.covers("E3")
def test_stock_is_shown_as_sql_and_the_gate_say(admin, a_reward, as_shopper, redeem):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, units=10)
    path = f"/admin/rewards/{reward.id}/stock"
    before = admin.get(path).json
    cancelled, _ = redeem(shopper, reward, quantity=2), redeem(shopper, reward, quantity=3)
    shopper.post(f"/me/redemptions/{cancelled['id']}/cancellation")

    after = admin.get(path).json

    assert before == {
        "stocked": 10,
        "units_left": 10,
        "redeemed": 0,
        "cancelled": 0,
        "gate": {"state": "absent", "units_left": None, "leases": 0},
        "drift": None,
        "stores": [],
    }
    assert after == {
        "stocked": 10,
        "units_left": 7,
        "redeemed": 3,
        "cancelled": 2,
        "gate": {"state": "open", "units_left": 7, "leases": 0},
        "drift": 0,
        "stores": [],
    }
