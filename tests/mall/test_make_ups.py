"""Make-ups: a missed day of this month, for points; runs are joined, milestones paid once a run."""

from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from mall import checkins, shop
from mall.errors import (
    AccountFrozen,
    AlreadyCheckedIn,
    MakeUpOutsideWindow,
    MemberClosed,
    NoMakeUpsLeft,
    NotEnoughPoints,
    NotFound,
)
from mall.guards import streaks
from mall.idempotency import Replayed
from models import Account, CheckIn, Member, MilestonePaid
from tests.makers import a_key
from tests.mall.books import DAY, MOMENT, balance, by_hand, count, entries, rows, said, wrong
from tests.mall.together import together

PRICE = shop.DEFAULTS["make_up_price_points"]
BONUS = 50
ROUTE = "POST /api/v1/me/checkins/make-ups"


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 4, tzinfo=UTC)


class Shopper:
    """A member of long standing, by the days of one month."""

    def __init__(self, member: int, month: str) -> None:
        self.id, self.first = member, date.fromisoformat(f"{month}-01")

    def day(self, number: int) -> date:
        """The n-th of the month; 0 is the last day of the month before."""
        return self.first + (number - 1) * DAY

    def signs_in(self, *numbers: int) -> None:
        for number in numbers:
            moment = noon(self.day(number))
            checkins.check_in(self.id, key=a_key(self.id, None), now=moment)

    def makes_up(self, number: int, *, on: int, key=None) -> dict:
        now = noon(self.day(on))
        key = key or a_key(self.id, route=ROUTE)
        return said(checkins.make_up(self.id, self.day(number), key=key, now=now))

    def streaks(self) -> list[int]:
        found = rows(CheckIn.streak_days, where=[CheckIn.member_id == self.id], order=CheckIn.day)
        return [streak for (streak,) in found]

    def calendar(self, *, on: int) -> dict:
        return checkins.calendar(self.id, self.first, now=noon(self.day(on)))

    def bonuses(self) -> list[tuple[int, str]]:
        columns = (MilestonePaid.level, MilestonePaid.paid_day)
        paid = rows(*columns, where=[MilestonePaid.member_id == self.id], order=columns[1])
        return [(level, f"{day:%m-%d}") for level, day in paid]


@pytest.fixture
def a_shopper(a_member):
    def make(month: str = "2027-03", points: int = 500) -> Shopper:
        member = a_member(points=points)
        by_hand(sa.update(Member).values(joined_at=datetime(2020, 1, 1, tzinfo=UTC)))
        return Shopper(member, month)

    return make


# what it does


@pytest.mark.covers("D3")
def test_a_day_made_up_joins_two_runs_and_is_seen_in_the_calendar(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(1, 2, 4, 5)
    before = balance(shopper.id)

    answer = shopper.makes_up(3, on=5)

    assert answer == {
        "day": "2027-03-03",
        "streak_days": 5,
        "points_awarded": 0,
        "bonus_points": 0,
        "next_bonus": {"in_days": 2, "points": BONUS},
        "already": False,
        "points_paid": PRICE,
        "balance_after": before - PRICE,
        "make_ups_left": 2,
    }
    assert shopper.streaks() == [1, 2, 3, 4, 5]
    seen = shopper.calendar(on=5)
    assert [mark["kind"] for mark in seen["marks"]] == ["normal"] * 2 + ["make_up"] + ["normal"] * 2
    assert [mark["day"] for mark in seen["marks"]] == seen["days"]
    assert (seen["streak_days"], seen["longest_streak_days"], seen["make_ups_left"]) == (5, 5, 2)
    assert (seen["make_up_price_points"], seen["make_up_window_days"]) == (PRICE, 7)
    assert entries(shopper.id)[-1] == ("make_up", -PRICE, before - PRICE)
    assert wrong() == []


def test_the_run_after_a_later_gap_stays_as_it_is(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(1, 3, 5, 6)

    shopper.makes_up(2, on=6)

    assert shopper.streaks() == [1, 2, 3, 1, 2]
    assert wrong() == []


def test_a_day_alone_begins_a_run_of_its_own(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(8)

    assert shopper.makes_up(5, on=8)["streak_days"] == 1
    assert shopper.makes_up(7, on=8)["streak_days"] == 2
    assert shopper.streaks() == [1, 1, 2]


def test_a_member_alone_is_touched(a_shopper):
    one, other = a_shopper(), a_shopper()
    one.signs_in(1, 3)
    other.signs_in(1, 3)

    one.makes_up(2, on=3)

    assert (one.streaks(), other.streaks()) == ([1, 2, 3], [1, 1])


def test_a_calendar_that_redis_knew_shows_the_day_at_once(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(1, 3)
    shopper.calendar(on=3)
    shopper.makes_up(2, on=3)

    assert streaks.days_of(shopper.id, 2027) is None, "SQL is asked anew"
    assert shopper.calendar(on=3)["days"] == ["2027-03-01", "2027-03-02", "2027-03-03"]


@pytest.mark.parametrize("price", [0, 7])
def test_the_shop_names_the_price(a_shopper, tune, price):
    tune("make_up_price_points", price)
    shopper = a_shopper(points=10)

    answer = shopper.makes_up(2, on=3)

    assert (answer["points_paid"], answer["balance_after"]) == (price, 10 - price)
    assert wrong() == []


# milestones, X18


def test_the_day_made_up_can_be_the_seventh_itself(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(*range(1, 7), 8)

    answer = shopper.makes_up(7, on=8)

    assert (answer["bonus_points"], answer["streak_days"]) == (BONUS, 8)
    assert shopper.bonuses() == [(7, "03-07")]
    assert wrong() == []


def test_a_run_that_reaches_the_seventh_by_joining_is_paid_on_the_day_it_reached_it(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(1, 2, 3, 5, 6, 7, 8, 9, 10)

    answer = shopper.makes_up(4, on=10)

    assert (answer["bonus_points"], shopper.bonuses()) == (BONUS, [(7, "03-07")])
    shopper.signs_in(11, 12, 13, 14)
    assert shopper.bonuses() == [(7, "03-07"), (14, "03-14")]
    assert wrong() == []


@pytest.mark.covers("D3")
def test_gluing_two_runs_does_not_earn_the_seventh_day_again(a_shopper):
    """X18: a run of three and one of eight that had its bonus already, glued by a day."""
    shopper = a_shopper()
    shopper.signs_in(6, 7, 8, *range(10, 17))
    assert shopper.bonuses() == [(7, "03-16")]

    answer = shopper.makes_up(9, on=16)

    assert answer["bonus_points"] == 0 and answer["streak_days"] == 11
    assert shopper.bonuses() == [(7, "03-16")]
    shopper.signs_in(17, 18, 19)
    assert shopper.bonuses() == [(7, "03-16"), (14, "03-19")]
    assert wrong() == []


def test_two_whole_sevens_glued_earn_what_the_fourteenth_earns_and_no_seventh(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(*range(1, 8), *range(9, 16))
    assert shopper.bonuses() == [(7, "03-07"), (7, "03-15")]

    answer = shopper.makes_up(8, on=15)

    assert (answer["bonus_points"], answer["streak_days"]) == (BONUS, 15)
    assert shopper.bonuses() == [(7, "03-07"), (14, "03-14"), (7, "03-15")]
    shopper.signs_in(*range(16, 22))
    assert shopper.bonuses()[-1] == (21, "03-21")
    assert wrong() == []


def test_a_new_run_may_earn_the_seventh_again(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(*range(1, 8), *range(10, 17))

    assert shopper.bonuses() == [(7, "03-07"), (7, "03-16")]


@pytest.mark.parametrize(
    ("month", "missed", "today"), [("2028-02", 29, 30), ("2028-02", 28, 29), ("2027-12", 30, 32)]
)
def test_runs_are_joined_over_leap_days_and_the_ends_of_years(a_shopper, month, missed, today):
    shopper = a_shopper(month)
    shopper.signs_in(*(n for n in range(missed - 6, today) if n != missed))
    on = today - 1 if today - 1 > missed else today

    if shopper.day(on).month != shopper.day(missed).month:
        with pytest.raises(MakeUpOutsideWindow):
            shopper.makes_up(missed, on=on)
        return
    answer = shopper.makes_up(missed, on=on)
    shopper.signs_in(*range(today, today + 2))

    assert answer["bonus_points"] == BONUS
    assert shopper.streaks() == list(range(1, len(shopper.streaks()) + 1))
    assert wrong() == []


def test_what_a_later_run_was_paid_does_not_count_for_this_one(a_shopper, hired):
    shopper = a_shopper()
    steps = [{"points": 1, "bonus_points": 0}, {"points": 1, "bonus_points": 9}]
    key = a_key(route="POST /api/v1/admin/checkin-rules")
    checkins.publish(steps, staff_id=hired["admin"], key=key, now=noon(shopper.day(1)))
    shopper.signs_in(1, 4, 5)
    assert shopper.bonuses() == [(2, "03-05")]

    assert shopper.makes_up(2, on=5)["bonus_points"] == 9
    assert shopper.bonuses() == [(2, "03-02"), (2, "03-05")]
    assert shopper.makes_up(3, on=5)["bonus_points"] == 9, "the glued run's fourth day"
    assert shopper.bonuses() == [(2, "03-02"), (4, "03-04"), (2, "03-05")]


def test_what_was_paid_under_an_old_ladder_is_not_paid_again_under_a_new(a_shopper, hired):
    shopper = a_shopper()
    shopper.signs_in(6, 7, 8, *range(10, 17))
    steps = [{"points": 1, "bonus_points": 99 if day == 7 else 0} for day in range(1, 8)]
    key = a_key(route="POST /api/v1/admin/checkin-rules")
    checkins.publish(steps, staff_id=hired["admin"], key=key, now=noon(shopper.day(16)))

    assert shopper.makes_up(9, on=16)["bonus_points"] == 0


# what is refused


def refusal(kind, shopper, number, *, on):
    before = balance(shopper.id), count(CheckIn)
    with pytest.raises(kind) as refused:
        shopper.makes_up(number, on=on)
    assert (balance(shopper.id), count(CheckIn)) == before
    return refused.value


def test_only_the_last_seven_days_can_be_made_up_and_not_today(a_shopper):
    shopper = a_shopper()

    details = refusal(MakeUpOutsideWindow, shopper, 12, on=20).details

    assert details == {"window_days": 7, "earliest_day": "2027-03-13"}
    for number in (20, 21, 40, -400):
        refusal(MakeUpOutsideWindow, shopper, number, on=20)
    assert [shopper.makes_up(number, on=20)["day"][-2:] for number in (13, 19)] == ["13", "19"]


def test_only_days_of_this_month_can_be_made_up(a_shopper):
    shopper = a_shopper()

    assert refusal(MakeUpOutsideWindow, shopper, 0, on=2).details["earliest_day"] == "2027-03-01"
    assert refusal(MakeUpOutsideWindow, shopper, 0, on=1).details["earliest_day"] is None
    assert shopper.makes_up(1, on=2)["day"] == "2027-03-01"


def test_no_day_before_joining_can_be_made_up(a_shopper):
    shopper = a_shopper()
    by_hand(sa.update(Member).values(joined_at=noon(shopper.day(18))))

    assert refusal(MakeUpOutsideWindow, shopper, 17, on=20).details["earliest_day"] == "2027-03-18"
    assert shopper.makes_up(18, on=20)["day"] == "2027-03-18"


def test_a_day_signed_already_can_not_be_made_up(a_shopper):
    shopper = a_shopper()
    shopper.signs_in(18)
    shopper.makes_up(19, on=20)

    refused = [refusal(AlreadyCheckedIn, shopper, number, on=20) for number in (18, 19)]

    assert [each.details for each in refused] == [{"day": "2027-03-18"}, {"day": "2027-03-19"}]


@pytest.mark.covers("D3")
def test_a_month_has_three_and_the_next_three_again(a_shopper):
    shopper = a_shopper()
    left = [shopper.makes_up(number, on=20)["make_ups_left"] for number in (17, 18, 19)]

    assert left == [2, 1, 0]
    assert refusal(NoMakeUpsLeft, shopper, 16, on=20).details == {"limit": 3}
    assert shopper.calendar(on=20)["make_ups_left"] == 0
    assert shopper.calendar(on=32)["make_ups_left"] == 3
    assert shopper.makes_up(32, on=33)["make_ups_left"] == 2


def test_who_has_too_few_points_is_told_how_many(a_shopper):
    shopper = a_shopper(points=PRICE - 1)

    assert refusal(NotEnoughPoints, shopper, 2, on=3).details == {"short_by": 1}


@pytest.mark.parametrize(("state", "kind"), [("frozen", AccountFrozen), ("closed", MemberClosed)])
def test_an_account_that_may_not_spend_makes_up_nothing(a_shopper, state, kind):
    shopper = a_shopper()
    by_hand(sa.update(Account).values(state=state))

    refusal(kind, shopper, 2, on=3)
    with pytest.raises(NotFound):
        checkins.make_up(404, shopper.day(2), key=a_key(404), now=noon(shopper.day(3)))


# together


def test_twenty_at_once_make_a_day_up_once(app, a_shopper):
    shopper = a_shopper()
    shopper.signs_in(1, 3)
    before = balance(shopper.id)

    outcomes = together(app, [lambda: shopper.makes_up(2, on=3)] * 20)

    assert sorted(type(each).__name__ for each in outcomes) == ["AlreadyCheckedIn"] * 19 + ["dict"]
    assert balance(shopper.id) == before - PRICE and shopper.streaks() == [1, 2, 3]
    assert wrong() == []


def test_many_days_at_once_use_the_months_three_and_no_more(app, a_shopper):
    shopper = a_shopper()
    works = [lambda number=number: shopper.makes_up(number, on=20) for number in range(13, 20)]

    outcomes = together(app, works)

    assert sorted(type(each).__name__ for each in outcomes) == ["NoMakeUpsLeft"] * 4 + ["dict"] * 3
    assert balance(shopper.id) == 500 - 3 * PRICE
    assert wrong() == []


def test_asked_twice_with_one_key_it_is_paid_once(a_shopper):
    shopper, before = a_shopper(), 500
    key = a_key(shopper.id, route=ROUTE)
    first = shopper.makes_up(2, on=3, key=key)

    with pytest.raises(Replayed) as twin:
        shopper.makes_up(2, on=3, key=key)

    assert said(twin.value.answer) == first and balance(shopper.id) == before - PRICE


def test_the_window_moves_at_the_shops_midnight(a_shopper):
    shopper = a_shopper()
    midnight = datetime(2027, 3, 20, 16, 0, tzinfo=UTC)

    def makes_up(number, moment):
        key = a_key(shopper.id, route=ROUTE)
        return checkins.make_up(shopper.id, shopper.day(number), key=key, now=moment)

    with pytest.raises(MakeUpOutsideWindow):
        makes_up(20, midnight - MOMENT)
    assert makes_up(20, midnight).status == 201
    with pytest.raises(MakeUpOutsideWindow):
        makes_up(13, midnight)
