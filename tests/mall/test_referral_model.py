"""Referrals against a model: whatever people do in whatever order, both say who is paid what.

The model knows of people, receipts and days, and nothing of promises, facts or how the mall keeps
them. REFERRAL_EXAMPLES asks for more, made up anew each time.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mall import clock
from models import db
from tests.makers import invitations_pay
from tests.mall.books import wrong
from tests.mall.referral_books import Town, paid, pending, state

MORE = os.environ.get("REFERRAL_EXAMPLES")
SETTINGS = settings(
    max_examples=int(MORE or 12),
    stateful_step_count=30,
    derandomize=not MORE,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink) if MORE else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
JOIN, BUY, LADDER = (5, 3), (100, 50), {1: 10, 3: 30}
JOIN_DAYS, BUY_DAYS, LEAST = 1, 3, 1_000
PER_DAY, FOR_LIFE, PER_DEVICE = 2, 5, 2
DEVICES = (None, "device-one", "device-two")


@dataclass
class Bought:
    """A receipt: what is left of it, and since when it counts."""

    at: datetime
    left: int
    refunds: list[tuple[int, int]] = field(default_factory=list)  # id, amount


@dataclass
class Friend:
    """Somebody who joined by an invitation."""

    inviter: int
    at: datetime
    device: str | None
    receipts: dict[int, Bought] = field(default_factory=dict)
    held: bool = False
    approved: bool = False
    over: str = ""  # rewarded, refused
    receipt: int | None = None
    joined_paid: bool = False
    counted: object = None  # the day
    capped: bool = False

    @property
    def open(self) -> bool:
        return not self.over

    @property
    def waits(self) -> bool:
        return self.held and not self.approved

    @property
    def state(self) -> str:
        return self.over or ("held" if self.waits else "qualified" if self.receipt else "joined")


class Model:
    """What everybody is owed."""

    def __init__(self) -> None:
        self.friends: dict[int, Friend] = {}
        self.paid: Counter[int] = Counter()
        self.steps: set[tuple[int, int]] = set()

    def joins(self, id_: int, friend: Friend) -> None:
        self.friends[id_] = friend
        near = timedelta(days=1)
        crowd = [
            each
            for each in self.friends.values()
            if friend.device and each.device == friend.device and abs(each.at - friend.at) <= near
        ]
        if len(crowd) > PER_DEVICE:
            for each in crowd:
                if each.open and not each.approved:
                    each.held = True

    def settles(self, now: datetime) -> None:
        for id_, friend in sorted(self.friends.items()):
            if friend.open:
                self._follow(friend)
                self._count(friend, now)
                self._pays(id_, friend, now)

    def _follow(self, friend: Friend) -> None:
        enough = [id_ for id_, each in friend.receipts.items() if each.left >= LEAST]
        if friend.receipt not in enough:
            friend.receipt = enough[0] if enough else None
        if friend.waits and not friend.joined_paid:
            friend.counted, friend.capped = None, False

    def _count(self, friend: Friend, now: datetime) -> None:
        if friend.waits or friend.counted or friend.capped:
            return
        today = clock.business_day(now)
        days = [f.counted for f in self.friends.values() if f.inviter == friend.inviter]
        if sum(day is not None for day in days) >= FOR_LIFE or days.count(today) >= PER_DAY:
            friend.capped = True
        else:
            friend.counted = today

    def _pays(self, id_: int, friend: Friend, now: datetime) -> None:
        if friend.waits:
            return
        bought = friend.receipts.get(friend.receipt or 0)
        if not friend.joined_paid and friend.at + timedelta(days=JOIN_DAYS) <= now:
            friend.joined_paid = True
            self._give(id_, friend, JOIN)
        if bought and bought.at + timedelta(days=BUY_DAYS) <= now:
            friend.over = "rewarded"
            self._give(id_, friend, BUY)
            self._climb(friend.inviter)

    def _give(self, id_: int, friend: Friend, points: tuple[int, int]) -> None:
        self.paid[friend.inviter] += 0 if friend.capped else points[0]
        self.paid[id_] += points[1]

    def _climb(self, inviter: int) -> None:
        mine = [f for f in self.friends.values() if f.inviter == inviter and not f.capped]
        reached = sum(f.over == "rewarded" for f in mine)
        for step, points in LADDER.items():
            if step <= reached and (inviter, step) not in self.steps:
                self.steps.add((inviter, step))
                self.paid[inviter] += points

    def pending(self, who: int) -> int:
        total = 0
        for id_, friend in self.friends.items():
            side = 0 if friend.inviter == who else 1
            if who not in (id_, friend.inviter) or not friend.open or friend.waits:
                continue
            if side == 0 and friend.capped:
                continue
            total += 0 if friend.joined_paid else JOIN[side]
            total += BUY[side] if friend.receipt else 0
        return total


class Weeks(RuleBasedStateMachine):
    """Two who invite, friends who come and go, a clerk, an admin, and a worker that never sleeps."""

    lent = None  # stores and staff, from the test

    @initialize()
    def opens(self):
        self.town, self.model = Town(*self.lent), Model()
        ladder = [{"friends": n, "points": points, "bundle": ""} for n, points in LADDER.items()]
        invitations_pay(join=JOIN, purchase=BUY, ladder=ladder)
        invitations_pay(
            join={"pending_days": JOIN_DAYS},
            purchase={"pending_days": BUY_DAYS, "min_amount_fen": LEAST},
            caps={"per_day": PER_DAY, "for_life": FOR_LIFE},
            holds={"device_joins_per_day": PER_DEVICE, "inviter_joins_per_hour": 1_000},
        )
        self.inviters = [self.town.join() for _ in range(2)]

    @rule(which=st.integers(0, 1), device=st.sampled_from(DEVICES))
    def somebody_joins(self, which, device):
        inviter = self.inviters[which]
        own = device and f"{device}-{self.inviters[0]}"  # each example has its own
        friend = self.town.join(by=inviter, device=own)
        self.model.joins(friend, Friend(inviter, self.town.now, device))

    @precondition(lambda self: self.model.friends)
    @rule(data=st.data(), amount=st.sampled_from([999, 1_000, 5_000]))
    def a_friend_buys(self, data, amount):
        friend = data.draw(st.sampled_from(sorted(self.model.friends)))
        made = self.town.buy(friend, amount)
        self.model.friends[friend].receipts[made] = Bought(self.town.now, amount)

    def receipts(self):
        return [
            (id_, bought)
            for friend in self.model.friends.values()
            for id_, bought in friend.receipts.items()
        ]

    @precondition(lambda self: any(each.left for _, each in self.receipts()))
    @rule(data=st.data(), whole=st.booleans())
    def money_goes_back(self, data, whole):
        live = [each for each in self.receipts() if each[1].left]
        id_, bought = live[data.draw(st.integers(0, len(live) - 1))]
        amount = bought.left if whole else max(1, bought.left // 2)
        bought.refunds.append((self.town.refund(id_, amount), amount))
        bought.left -= amount

    @precondition(lambda self: any(each.refunds for _, each in self.receipts()))
    @rule(data=st.data())
    def a_refund_is_undone(self, data):
        back = [each for _, each in self.receipts() if each.refunds]
        bought = back[data.draw(st.integers(0, len(back) - 1))]
        refund, amount = bought.refunds.pop()
        self.town.undo("refund", refund)
        bought.left += amount

    def clean(self):
        return [(i, e) for i, e in self.receipts() if e.left and not e.refunds]

    @precondition(lambda self: self.clean())
    @rule(data=st.data())
    def a_receipt_is_undone(self, data):
        found = self.clean()
        id_, bought = found[data.draw(st.integers(0, len(found) - 1))]
        self.town.undo("purchase", id_)
        bought.left = 0

    @precondition(lambda self: any(f.open and f.waits for f in self.model.friends.values()))
    @rule(data=st.data(), approved=st.booleans())
    def an_admin_decides(self, data, approved):
        held = [id_ for id_, f in sorted(self.model.friends.items()) if f.open and f.waits]
        id_ = data.draw(st.sampled_from(held))
        self.town.review(id_, approved=approved)
        friend = self.model.friends[id_]
        friend.approved = True
        friend.over = "" if approved else "refused"

    @rule(hours=st.sampled_from([1, 25, 49, 73]))
    def time_passes(self, hours):
        self.town.later(hours=hours)
        self.town.work()

    @invariant()
    def both_say_the_same(self):
        if not hasattr(self, "inviters"):
            return
        self.model.settles(self.town.now)
        assert {id_: state(id_)[0] for id_ in self.model.friends} == {
            id_: friend.state for id_, friend in self.model.friends.items()
        }
        people = [*self.inviters, *self.model.friends]
        assert {who: (paid(who), pending(who)) for who in people} == {
            who: (self.model.paid[who], self.model.pending(who)) for who in people
        }

    def teardown(self):
        assert wrong() == []
        db.session.rollback()


@pytest.mark.covers("F1", "F2", "F9")
def test_whatever_people_do_the_model_and_the_mall_pay_the_same(app, stores, hired):
    Weeks.lent = (stores, hired)

    run_state_machine_as_test(Weeks, settings=SETTINGS)
