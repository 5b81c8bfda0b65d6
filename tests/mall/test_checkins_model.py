"""Check-ins against a model: whatever is done in whatever order, days, streaks and pay are as counted.

The model counts each streak by walking back from the day, and pays by looking at the whole run. It
knows nothing of how the mall keeps them. CHECKIN_EXAMPLES asks for more, made up anew each time.
"""

import os
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mall import checkins, jobs
from mall.checkins import outages
from mall.errors import Refused
from mall.guards.client import client
from models import Account, CheckIn, MilestonePaid, Outage
from tests.makers import a_key
from tests.mall.books import DAY, balance, by_hand, give, rows, said, wrong

MORE = os.environ.get("CHECKIN_EXAMPLES")
SETTINGS = settings(
    max_examples=int(MORE or 16),
    stateful_step_count=24,
    derandomize=not MORE,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
STARTS = (date(2028, 2, 22), date(2027, 12, 24), date(2028, 3, 8))
LADDER = ((1, 0), (2, 5), (3, 10))  # short, so that runs meet its milestones often
FUNDS, PRICE, WINDOW_DAYS, A_MONTH = 90, 20, 7, 3
MEMBERS = 2


class Model:
    """What one member is owed."""

    def __init__(self) -> None:
        self.days: dict[date, str] = {}
        self.paid: set[tuple[int, date]] = set()
        self.points = FUNDS

    def streak(self, day: date) -> int:
        length = 0
        while day in self.days:
            length, day = length + 1, day - DAY
        return length

    def run(self, day: date) -> list[date]:
        while day - DAY in self.days:
            day -= DAY
        found = []
        while day in self.days:
            found.append(day)
            day += DAY
        return found

    def signs(self, today: date) -> None:
        if today not in self.days:
            self.days[today] = "normal"
            self.points += LADDER[(self.streak(today) - 1) % len(LADDER)][0]
            self.pays(today)

    def pays(self, day: date) -> None:
        run = self.run(day)
        for each in run:
            level = self.streak(each)
            bonus = LADDER[(level - 1) % len(LADDER)][1]
            if bonus and not any((level, other) in self.paid for other in run):
                self.paid.add((level, each))
                self.points += bonus

    def made_up_in(self, month: date) -> int:
        return sum(
            kind == "make_up" and (day.year, day.month) == (month.year, month.month)
            for day, kind in self.days.items()
        )

    def may_make_up(self, day: date, today: date) -> bool:
        in_window = today.replace(day=1) <= day < today and (today - day).days <= WINDOW_DAYS
        left = self.made_up_in(today) < A_MONTH
        return in_window and left and day not in self.days and self.points >= PRICE

    def makes_up(self, day: date, down: set[date]) -> None:
        self.days[day] = "make_up"
        self.points -= PRICE
        self.goes_on(day + DAY, down)
        self.pays(day)

    def goes_on(self, day: date, down: set[date]) -> None:
        """Days of outage are bridged for who had signed the day before."""
        while day in down and day - DAY in self.days:
            self.days.setdefault(day, "outage")
            day += DAY

    def outage(self, day: date, down: set[date]) -> None:
        if day - DAY in self.days and day not in self.days:
            self.goes_on(day, down)
            self.pays(day)
        elif day - DAY in self.days and self.days[day] == "make_up":
            self.days[day] = "outage"
            self.points += PRICE


class Month(RuleBasedStateMachine):
    """Some weeks of two members, an admin, and a Redis that forgets and lies."""

    a_member = admin_id = None  # what the test lends

    @initialize(start=st.sampled_from(STARTS))
    def opens(self, start: date) -> None:
        self.today, self.down = start, set[date]()
        self.members = [self.a_member() for _ in range(MEMBERS)]
        self.models = {member: Model() for member in self.members}
        for member in self.members:
            until = datetime(2040, 1, 1, tzinfo=UTC)
            give(member, FUNDS, f"funds-{member}", expires_at=until, now=self.now)

    @property
    def now(self) -> datetime:
        return datetime(self.today.year, self.today.month, self.today.day, 4, tzinfo=UTC)

    @rule(who=st.integers(0, MEMBERS - 1))
    def signs_in(self, who: int) -> None:
        member = self.members[who]
        answer = checkins.check_in(member, key=a_key(member, None), now=self.now)
        known = self.today in self.models[member].days
        self.models[member].signs(self.today)
        assert (answer.status, said(answer)["already"]) == ((200, True) if known else (201, False))
        assert said(answer)["streak_days"] == self.models[member].streak(self.today)

    @rule(days=st.sampled_from([1, 1, 1, 1, 2, 3, 8]), everybody=st.booleans())
    def days_pass(self, days: int, everybody: bool) -> None:
        self.today += days * DAY
        for who in range(MEMBERS if everybody else 0):
            self.signs_in(who)

    @rule(who=st.integers(0, MEMBERS - 1), back=st.integers(0, WINDOW_DAYS + 1))
    def makes_up(self, who: int, back: int) -> None:
        member, day = self.members[who], self.today - back * DAY
        model = self.models[member]
        may = model.may_make_up(day, self.today)
        try:
            checkins.make_up(member, day, key=a_key(member), now=self.now)
        except Refused:
            assert not may
        else:
            assert may
            model.makes_up(day, self.down)

    @rule(back=st.integers(1, 9))
    def was_down(self, back: int) -> None:
        day = self.today - back * DAY
        if day in self.down:
            return
        outages.declare(day, "断电", staff_id=self.admin_id, key=a_key(), now=self.now)
        jobs._until_done(lambda: checkins.repair(now=self.now + outages.SETTLES))
        self.down.add(day)
        for model in self.models.values():
            model.outage(day, self.down)

    @rule(who=st.integers(0, MEMBERS - 1))
    def redis_forgets(self, who: int) -> None:
        client().delete(self._year(who))

    @rule(
        who=st.integers(0, MEMBERS - 1), bits=st.sets(st.integers(0, 366), min_size=1, max_size=4)
    )
    def redis_lies(self, who: int, bits: set[int]) -> None:
        for bit in bits:
            client().setbit(self._year(who), bit, 1 - client().getbit(self._year(who), bit))

    def _year(self, who: int) -> str:
        return f"{{m:{self.members[who]}}}:ci:{self.today.year}"

    @invariant()
    def calendars_are_as_counted(self) -> None:
        for member, model in getattr(self, "models", {}).items():
            first = self.today.replace(day=1)
            seen = checkins.calendar(member, first, now=self.now)
            days = {each: kind for each, kind in model.days.items() if each >= first}
            assert {mark["day"]: mark["kind"] for mark in seen["marks"]} == {
                each.isoformat(): kind for each, kind in days.items()
            }
            assert seen["days"] == sorted(each.isoformat() for each in days)
            running = model.streak(self.today) or model.streak(self.today - DAY)
            longest = max(map(model.streak, model.days), default=0)
            assert (seen["streak_days"], seen["longest_streak_days"]) == (running, longest)
            assert seen["make_ups_left"] == A_MONTH - model.made_up_in(self.today)

    def teardown(self) -> None:
        for member, model in getattr(self, "models", {}).items():
            kept = rows(CheckIn.day, CheckIn.streak_days, where=[CheckIn.member_id == member])
            assert dict(kept) == {day: model.streak(day) for day in model.days}
            columns = (MilestonePaid.level, MilestonePaid.paid_day)
            assert set(rows(*columns, where=[MilestonePaid.member_id == member])) == model.paid
            assert balance(member) == model.points
        assert wrong() == []
        by_hand(sa.delete(Outage))
        by_hand(sa.update(Account).values(state="closed"))  # the next shop's repair passes them by


@pytest.mark.covers("D2", "D3")
def test_days_streaks_and_pay_are_as_the_model_counts_them(a_member, hired, tune, monkeypatch):
    monkeypatch.setattr(outages, "MENDED_AT_ONCE", 1)
    monkeypatch.setattr(Month, "a_member", staticmethod(a_member))
    monkeypatch.setattr(Month, "admin_id", hired["admin"])
    tune("make_up_price_points", PRICE)
    steps = [{"points": points, "bonus_points": bonus} for points, bonus in LADDER]
    now = datetime(2027, 1, 1, tzinfo=UTC)
    checkins.publish(steps, staff_id=hired["admin"], key=a_key(), now=now)

    run_state_machine_as_test(Month, settings=SETTINGS)
