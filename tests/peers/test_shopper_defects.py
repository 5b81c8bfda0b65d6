"""Defects of well-known malls, one test each, named by their number in our list of thirty-seven.

Those of lotteries (7), prepaid recharge and wallets (11, 22, 26's stored value), coupons handed out
in batches (10, 19) and payment (36's payable amount) have no counterpart here yet: they come with
those features.
"""

import pytest
import sqlalchemy as sa

from mall import ledger, phones
from mall.checkins import sign
from models import CheckInRule, Member, Redemption, Voucher
from tests.makers import grant
from tests.mall.books import by_hand, count, rows, wrong

OTHERS = 20


def points_of(shopper):
    return shopper.get("/me/card").json["points"]["available"]


def want(shopper, reward, quantity=1):
    return order(shopper, reward, quantity)()


def order(shopper, reward, quantity=1):
    """A redemption to be asked for later, by whichever thread."""
    body = {"reward_id": reward.id, "quantity": quantity}
    return lambda: shopper.post("/me/redemptions", body)


def refused(answer):
    return answer.status_code, answer.json["code"]


@pytest.fixture
def shopper(as_shopper):
    """Somebody with 300 points."""
    made = as_shopper("one")
    grant(made.id, 300)
    return made


@pytest.mark.parametrize("quantity", [0, -1, -99, 100])
def test_defect_1_a_quantity_below_one_is_neither_free_nor_paid_out(shopper, a_reward, quantity):
    answer = want(shopper, a_reward(price_points=100), quantity)

    assert refused(answer) == (400, "malformed")
    assert points_of(shopper) == 300 and count(Redemption) == 0


def test_defect_2_nobody_reads_anothers_redemption(shopper, as_shopper, a_reward):
    address = {"name": "小明", "phone": "13800000001", "region": "上海市", "detail": "人民路 1 号"}
    body = {"reward_id": a_reward(kind="delivery").id, "quantity": 1, "address": address}
    done = shopper.post("/me/redemptions", body).json["id"]

    answer = as_shopper("two").get(f"/me/redemptions/{done}")

    assert refused(answer) == (404, "not_found") and "13800000001" not in answer.text


def test_defect_3_two_who_want_the_last_one_do_not_both_get_it(as_shopper, a_reward, at_once):
    reward, people = a_reward(units=1), [as_shopper(f"p{n}") for n in range(8)]
    for person in people:
        grant(person.id, 100)

    answers = at_once([order(p, reward) for p in people])

    assert sorted(a.status_code for a in answers) == [201] + [409] * 7 and wrong() == []


def test_defect_4_parallel_changes_of_one_balance_lose_none(shopper, as_staff, at_once):
    admin = as_staff("admin")
    path = f"/admin/members/{shopper.id}/points-adjustments"
    body = {"points": 7, "reason": "补偿"}

    answers = at_once([lambda: admin.post(path, body) for _ in range(OTHERS)])

    assert {a.status_code for a in answers} == {201}
    assert points_of(shopper) == 300 + 7 * OTHERS and wrong() == []


def test_defect_5_a_limit_counts_rows_that_nobody_can_delete(shopper, a_reward, as_staff):
    reward, clerk = a_reward(price_points=10, per_member_limit=1), as_staff("clerk-a")
    code = want(shopper, reward).json["voucher"]["code"]
    clerk.post(f"/clerk/vouchers/{code}/use")

    assert refused(want(shopper, reward)) == (409, "limit_reached")
    with pytest.raises(sa.exc.DatabaseError):
        by_hand(sa.text("DELETE FROM redemptions"))  # its voucher holds it


def test_defect_6_what_was_redeemed_can_be_taken_back_and_its_code_be_verified(
    shopper, a_reward, as_staff
):
    reward, clerk = a_reward(price_points=100, units=2), as_staff("clerk-a")
    first, second = want(shopper, reward).json, want(shopper, reward).json

    cancelled = shopper.post(f"/me/redemptions/{first['id']}/cancellation")
    verified = clerk.post(f"/clerk/vouchers/{second['voucher']['code']}/use")

    assert (cancelled.status_code, verified.status_code) == (200, 200)
    stock = as_staff("admin").get(f"/admin/rewards/{reward.id}/stock").json
    assert (points_of(shopper), stock["units_left"]) == (200, 1) and wrong() == []


def test_defect_8_nobody_takes_what_is_anothers(shopper, as_shopper, a_reward):
    done = want(shopper, a_reward()).json["id"]

    answer = as_shopper("two").post(f"/me/redemptions/{done}/cancellation")

    assert refused(answer) == (404, "not_found") and points_of(shopper) == 200


def test_defect_9_the_seventh_day_pays_on_the_seventh_day(app, as_shopper):
    paid = []
    for day in range(8):
        app.config["CLOCK_OFFSET_S"] = day * 86_400
        paid.append(as_shopper("daily").post("/me/checkins", key=None).json["bonus_points"])

    assert paid == [0, 0, 0, 0, 0, 0, 50, 0]


def test_defect_9_a_failed_check_in_locks_nobody_out(as_shopper, monkeypatch):
    shopper = as_shopper("daily")
    with monkeypatch.context() as broken:
        broken.setattr(sign, "record", lambda *args, **kwargs: 1 / 0)
        failed = shopper.post("/me/checkins", key=None)

    assert failed.status_code == 500
    assert shopper.post("/me/checkins", key=None).status_code == 201


def test_defects_10_and_18_the_limit_that_is_set_holds_over_all_redemptions(shopper, a_reward):
    reward = a_reward(price_points=10, per_member_limit=3)

    answers = [want(shopper, reward, quantity) for quantity in (4, 2, 2, 1, 1)]

    assert [a.status_code for a in answers] == [409, 201, 409, 201, 409]


def test_defects_14_and_15_points_that_are_short_refuse_and_two_at_once_do_not_both_pass(
    as_shopper, a_reward, at_once
):
    shopper, reward = as_shopper("poor"), a_reward(price_points=100)
    grant(shopper.id, 100)

    answers = at_once([order(shopper, reward) for _ in range(8)])

    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {a.json["code"] for a in answers if a.status_code == 409} == {"not_enough_points"}
    assert points_of(shopper) == 0 and wrong() == []


def test_defect_17_a_shop_without_a_ladder_still_lets_people_sign_in(as_shopper):
    by_hand(sa.delete(CheckInRule))

    answer = as_shopper("daily").post("/me/checkins", key=None)

    assert (answer.status_code, answer.json["points_awarded"]) == (201, 0)


def test_defect_19_units_at_once_do_not_overshoot_the_limit_or_the_stock(
    as_shopper, a_reward, at_once
):
    shopper, reward = as_shopper("greedy"), a_reward(price_points=1, units=7, per_member_limit=5)
    grant(shopper.id, 300)

    answers = at_once([order(shopper, reward, 3) for _ in range(6)])

    assert sorted(a.status_code for a in answers) == [201] + [409] * 5 and wrong() == []


def test_defect_20_no_two_vouchers_have_one_code(shopper, a_reward):
    reward = a_reward(price_points=1, units=50)
    codes = {want(shopper, reward).json["voucher"]["code"] for _ in range(20)}

    assert len(codes) == 20
    with pytest.raises(sa.exc.IntegrityError):
        by_hand(sa.update(Voucher).values(code_hmac="same"))


def test_defect_23_many_units_cost_as_many_times_the_price(shopper, a_reward):
    reward = a_reward(price_points=100)

    done, more = want(shopper, reward, 2), want(shopper, reward, 2)

    assert done.json["points_paid"] == 200 and points_of(shopper) == 100
    assert refused(more) == (409, "not_enough_points") and wrong() == []


def test_defect_24_gifts_at_once_give_no_more_than_there_is(as_shopper, at_once, tune):
    tune("transfer_points_per_day", 10_000)
    giver, taker = as_shopper("giver"), as_shopper("taker")
    grant(giver.id, 100)
    body = {"card_no": taker.get("/me").json["card_no"], "points": 100}

    answers = at_once([lambda: giver.post("/me/transfers", body) for _ in range(OTHERS)])

    assert sorted(a.status_code for a in answers) == [201] + [409] * (OTHERS - 1)
    assert (points_of(giver), points_of(taker)) == (0, 100) and wrong() == []


def test_defect_28_two_buyers_never_get_the_same_code(as_shopper, a_reward, at_once):
    reward, people = a_reward(price_points=1), [as_shopper(f"p{n}") for n in range(8)]
    for person in people:
        grant(person.id, 1)

    answers = at_once([order(p, reward) for p in people])

    assert len({a.json["voucher"]["code"] for a in answers}) == 8


def test_defects_29_and_34_without_the_points_there_is_no_code(as_shopper, a_reward):
    answer = want(as_shopper("poor"), a_reward(price_points=1))

    assert refused(answer) == (409, "not_enough_points")
    assert (count(Redemption), count(Voucher)) == (0, 0)


def test_defect_36_a_balance_is_never_written_from_what_a_session_remembers(
    shopper, a_reward, as_staff
):
    before = points_of(shopper)
    as_staff("admin").post(
        f"/admin/members/{shopper.id}/points-adjustments", {"points": -250, "reason": "更正"}
    )

    answer = want(shopper, a_reward(price_points=100))

    assert before == 300 and refused(answer) == (409, "not_enough_points")
    assert points_of(shopper) == 50


def test_defect_32_one_phone_is_one_members(as_shopper):
    one, two = as_shopper("one"), as_shopper("two")

    answers = [each.post("/me/phone", {"code": "phone-13800000001"}) for each in (one, two)]

    assert [a.status_code for a in answers] == [200, 409]
    assert rows(sa.func.count(Member.id), where=[phones.is_any_of(["13800000001"])]) == [(1,)]


def test_every_defect_leaves_the_trial_balance_at_nothing(shopper, a_reward):
    want(shopper, a_reward())

    assert sum(ledger.trial_balance().values()) == 0
