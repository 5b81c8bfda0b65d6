"""Defects of well-known malls in what a programme gives: points as cash, birthdays, gifts in numbers."""

from datetime import timedelta

import sqlalchemy as sa

from mall import clock, jobs, reactions
from models import GivenBundle, Member
from tests.makers import grant
from tests.mall.books import by_hand, count, rows, units_left, wrong


def test_defect_21_who_has_more_points_than_a_bill_pays_with_fewer(as_shopper, as_staff):
    shopper, clerk = as_shopper("rich"), as_staff("clerk-a")
    grant(shopper.id, 100_000)
    as_staff("admin").post("/admin/payment-rules", {"max_percent": 100})
    bill = {"member_id": shopper.id, "receipt_no": "R1", "bill_fen": 1_000}

    paid = clerk.post("/clerk/points-payments", bill)

    assert (paid.status_code, paid.json["points"], paid.json["to_pay_fen"]) == (201, 1_000, 0)
    assert shopper.get("/me/card").json["points"]["available"] == 99_000 and wrong() == []


def test_defect_35_a_birthday_that_a_stopped_worker_missed_is_kept_once(app, as_shopper, as_staff):
    admin, shopper = as_staff("admin"), as_shopper("one")
    admin.post("/admin/bundles", {"code": "cake", "name": "生日礼", "points": 50})
    admin.post("/admin/settings/birthday_bundles", {"value": {"": "cake"}})
    born = clock.business_day(clock.now()).replace(year=1996) - timedelta(days=3)
    long_ago = clock.now() - timedelta(days=400)
    by_hand(sa.update(Member).values(birthday=born, joined_at=long_ago))

    given = [jobs.JOBS["birthday-packs"][0]() for _ in range(2)]

    assert given == [1, 0] and shopper.get("/me/card").json["points"]["available"] == 50


def test_defect_35_a_leap_days_birthday_comes_every_year(app, as_shopper, as_staff):
    admin, shopper = as_staff("admin"), as_shopper("one")
    admin.post("/admin/bundles", {"code": "cake", "name": "生日礼", "points": 50})
    admin.post("/admin/settings/birthday_bundles", {"value": {"": "cake"}})
    born = clock.business_day(clock.now()).replace(year=1996, month=2, day=29)
    long_ago = clock.now() - timedelta(days=400)
    by_hand(sa.update(Member).values(birthday=born, joined_at=long_ago))
    noon = clock.start_of_day(born.replace(year=2027, day=28)) + timedelta(hours=12)

    app.config["CLOCK_OFFSET_S"] = (noon - clock.now()).total_seconds()

    assert jobs.JOBS["birthday-packs"][0]() == 1
    assert shopper.id in [member for (member,) in rows(GivenBundle.member_id)]


def test_defect_37_gifts_that_many_claim_at_once_are_each_given_once(
    as_shopper, as_staff, a_reward, at_once
):
    admin, cup = as_staff("admin"), a_reward(units=3)
    parts = {"rewards": [{"reward_id": cup.id, "quantity": 1}]}
    admin.post("/admin/bundles", {"code": "cup", "name": "杯子", **parts})
    step = {"code": "in", "title": "签到", "title_en": "Sign in", "counts": "check_in", "target": 1}
    names = {"code": "sign", "title": "签到", "title_en": "Sign in", "period": "once"}
    task = {**names, "steps": [step], "bundle_code": "cup", "publish": True}
    path = f"/me/tasks/{admin.post('/admin/tasks', task).json['task_id']}/claims"
    shoppers = [as_shopper(f"s{n}") for n in range(4)]
    for shopper in shoppers:
        shopper.post("/me/checkins")
    while reactions.drain(now=clock.now()):
        pass

    answers = at_once([lambda who=who: who.post(path) for who in shoppers for _ in range(3)])

    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 9
    codes = {a.json["code"] for a in answers if a.status_code == 409}
    assert codes <= {"task_claimed", "task_gift_gone"} and units_left(cup.id) == 0
    assert count(GivenBundle) == 3 and wrong() == []
