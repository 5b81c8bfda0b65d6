"""Daily sign-in and its calendar."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock
from mall.guards.client import client
from models import Member
from tests.mall.books import by_hand

DAY_S = 86_400
CHECK_IN = {"day", "streak_days", "points_awarded", "bonus_points", "next_bonus", "already"}


@pytest.fixture
def on_day(app, as_shopper):
    """Sign in on the n-th day from today; tokens last two hours, so one logs in each day."""

    def check_in(day: int):
        app.config["CLOCK_OFFSET_S"] = day * DAY_S
        return as_shopper("daily").post("/me/checkins", key=None)

    return check_in


@pytest.mark.covers("D1")
def test_the_first_of_a_day_is_paid_and_the_next_is_told_so(as_shopper):
    shopper = as_shopper("one")

    first, second = (shopper.post("/me/checkins", key=None) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 200)
    assert set(first.json) == CHECK_IN
    assert first.json == {
        "day": clock.business_day(clock.now()).isoformat(),
        "streak_days": 1,
        "points_awarded": 5,
        "bonus_points": 0,
        "next_bonus": {"in_days": 6, "points": 50},
        "already": False,
    }
    assert second.json == {**first.json, "already": True}
    assert shopper.get("/me/card").json["points"]["available"] == 5


@pytest.mark.covers("D1")
def test_no_key_is_needed_and_another_key_changes_nothing(as_shopper):
    shopper = as_shopper("one")

    answers = [shopper.post("/me/checkins", key=key) for key in ("new", "new", None)]

    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert shopper.get("/me/card").json["points"]["available"] == 5


@pytest.mark.covers("D2")
def test_seven_days_pay_the_ladder_and_its_bonus_and_the_eighth_starts_over(on_day):
    answers = [on_day(day) for day in range(8)]

    paid = [(a.json["streak_days"], a.json["points_awarded"]) for a in answers]

    assert {answer.status_code for answer in answers} == {201}
    assert paid == [(1, 5), (2, 5), (3, 10), (4, 10), (5, 15), (6, 15), (7, 20), (8, 5)]
    assert [a.json["bonus_points"] for a in answers] == [0, 0, 0, 0, 0, 0, 50, 0]
    assert [a.json["next_bonus"]["in_days"] for a in answers] == [6, 5, 4, 3, 2, 1, 7, 6]


@pytest.mark.covers("D2")
def test_a_gap_starts_the_streak_anew(on_day):
    streaks = [on_day(day).json["streak_days"] for day in (0, 1, 3, 4)]

    assert streaks == [1, 2, 1, 2]


@pytest.mark.covers("D2")
def test_the_calendar_shows_the_month_its_streak_and_the_longest(app, on_day, as_shopper):
    days = [on_day(day).json["day"] for day in (0, 1, 2, 4)]
    shopper = as_shopper("daily")

    months = [shopper.get(f"/me/checkins?month={m}").json for m in sorted({d[:7] for d in days})]

    assert [day for month in months for day in month["days"]] == days
    assert {(m["streak_days"], m["longest_streak_days"]) for m in months} == {(1, 3)}
    assert {m["make_ups_left"] for m in months} == {3}
    assert set(months[0]) == {
        "month",
        "days",
        "marks",
        "streak_days",
        "longest_streak_days",
        "make_ups_left",
        "make_up_price_points",
        "make_up_window_days",
    }


@pytest.mark.covers("D2")
def test_a_calendar_that_redis_forgot_is_the_same(on_day, as_shopper):
    days = [on_day(day).json["day"] for day in (0, 1)]
    shopper, path = as_shopper("daily"), f"/me/checkins?month={days[-1][:7]}"
    before = shopper.get(path).json
    client().flushall()

    after = [shopper.get(path).json, shopper.get(path).json]

    assert after == [before, before]
    assert days[-1] in before["days"]


def test_a_calendar_without_a_month_is_this_months(as_shopper):
    shopper = as_shopper("one")
    today = shopper.post("/me/checkins", key=None).json["day"]

    answer = shopper.get("/me/checkins")

    assert (answer.json["month"], answer.json["days"]) == (today[:7], [today])


def test_a_month_of_long_ago_is_empty(as_shopper):
    answer = as_shopper("one").get("/me/checkins?month=2020-02")

    assert (answer.json["month"], answer.json["days"]) == ("2020-02", [])


def test_what_is_no_month_is_refused(as_shopper):
    shopper = as_shopper("one")
    wrong = ["2026-13", "2026-00", "2026", "1999-01", "2026-1", "2026-01-01", "", "x", "2026-01%0A"]
    wrong += ["%D9%A2026-01", "2026-01%00", "+2026-01"]

    answers = [shopper.get(f"/me/checkins?month={month}") for month in wrong]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(400, "malformed")] * len(wrong)


def test_one_shoppers_days_are_not_anothers(as_shopper):
    as_shopper("one").post("/me/checkins", key=None)

    answer = as_shopper("two").get("/me/checkins")

    assert (answer.json["days"], answer.json["streak_days"]) == ([], 0)


# make-ups


MAKE_UP = CHECK_IN | {"points_paid", "balance_after", "make_ups_left"}


@pytest.fixture
def of_long_standing(mid_month, as_shopper, grant_points):
    """A shopper who joined days ago and has some points."""

    def make(points: int = 100):
        shopper = as_shopper("one")
        by_hand(sa.update(Member).values(joined_at=clock.now() - timedelta(days=9)))
        grant_points(shopper, points)
        return shopper

    return make


def day_ago(days: int) -> str:
    return str(clock.business_day(clock.now()) - timedelta(days=days))


@pytest.mark.covers("D3")
def test_a_day_missed_is_made_up_and_shown_as_such(of_long_standing):
    shopper = of_long_standing()
    shopper.post("/me/checkins", key=None)

    answer = shopper.post("/me/checkins/make-ups", {"day": day_ago(1)})

    assert (answer.status_code, set(answer.json)) == (201, MAKE_UP)
    assert (answer.json["day"], answer.json["streak_days"]) == (day_ago(1), 2)
    assert (answer.json["points_paid"], answer.json["balance_after"]) == (20, 85)
    seen = shopper.get("/me/checkins").json
    assert seen["marks"] == [
        {"day": day_ago(1), "kind": "make_up"},
        {"day": day_ago(0), "kind": "normal"},
    ]
    assert (seen["streak_days"], seen["make_ups_left"], seen["make_up_window_days"]) == (2, 2, 7)
    entry = shopper.get("/me/points/entries").json["items"][0]
    assert (entry["kind"], entry["delta"], entry["reason"]) == ("make_up", -20, "补签")


def test_each_refusal_of_a_make_up_has_a_code_of_its_own(of_long_standing):
    shopper, path = of_long_standing(30), "/me/checkins/make-ups"
    asked = [day_ago(1), day_ago(1), day_ago(2), day_ago(0), "2020-01-01"]

    answers = [shopper.post(path, {"day": day}) for day in asked]

    assert [(each.status_code, each.json.get("code")) for each in answers] == [
        (201, None),
        (409, "already_checked_in"),
        (409, "not_enough_points"),
        (409, "make_up_outside_window"),
        (409, "make_up_outside_window"),
    ]


def test_without_a_make_up_left_it_says_so(of_long_standing, tune):
    tune("make_ups_per_month", 0)
    shopper = of_long_standing()

    answer = shopper.post("/me/checkins/make-ups", {"day": day_ago(1)})

    assert (answer.status_code, answer.json["code"]) == (409, "no_make_ups_left")
    assert shopper.get("/me/checkins").json["make_ups_left"] == 0


def test_what_is_no_day_is_refused(as_shopper):
    wrong = [{}, {"day": 1}, {"day": "2026-02-30"}, {"day": None}, {"day": "x"}]
    wrong += [{"day": day_ago(1), "member_id": 2}]

    answers = [as_shopper("one").post("/me/checkins/make-ups", body) for body in wrong]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(400, "malformed")] * len(wrong)
