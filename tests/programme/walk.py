"""A walk: operations drawn by a seed, done by the shop and by the model, which then must agree."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import (
    checkins,
    clock,
    jobs,
    points,
    purchases,
    reactions,
    redemptions,
    refunds,
    tasks,
    tiers,
    undo,
)
from mall.errors import MallError, NotEnoughPoints, Refused
from mall.purchases import Receipt
from models import Account, Lot, Purchase, Redemption, Refund, TillAction
from tests.makers import a_key
from tests.mall.books import ask, clerk, one, rows, said
from tests.programme.model import SIGN_POINTS, ModelTask, Person, Trade

MEMBERS = 4
PRICE_POINTS = 40
GRACE = timedelta(days=7)
AMOUNTS_FEN = (50, 999, 5_000, 12_345, 49_900, 99_999, 250_000)
WAITS = (timedelta(minutes=1), timedelta(hours=5), timedelta(days=1), timedelta(days=6))
_names = itertools.count(1)


class Walk:
    """Some members, a reward and tasks; every operation may happen at any time."""

    def __init__(
        self, seed: int, members: list[int], at: datetime, till: tuple[int, int], reward: int
    ) -> None:
        self.draw, self.now = random.Random(seed), at
        self.store, self.clerk_id = till
        self.reward = reward
        self.people = {member: Person() for member in members}
        self.tasks: list[ModelTask] = []
        self.count = Counter[str]()
        self.story: list[str] = []

    def run(self, operations: int, look_every: int) -> None:
        """Do so many operations, and compare now and then and at the end."""
        for number in range(1, operations + 1):
            do, who = self.draw.choice(self._what()), self.draw.choice(list(self.people))
            self.story.append(f"{number}. {self.now:%m-%d %H:%M} {who} {do.__name__}")
            told = f"{do.__name__}{do(who) or ''}"
            self.story[-1] = self.story[-1].replace(do.__name__, told)
            self.count[told] += 1
            if number % look_every == 0 or number == operations:
                self.tell()
                self.compare()

    def _what(self) -> list[Callable[[int], str | None]]:
        often = [self.buys, self.buys, self.signs_in, self.redeems, self.time_passes]
        return [*often, self.refunds, self.undoes, self.undoes_refund, self.cancels, self.claims]

    def ends(self, now: datetime) -> datetime:
        """When points end that are earned now: thirty days later."""
        return clock.end_of_day(clock.business_day(now) + timedelta(days=30))

    # what members do

    def buys(self, member: int) -> None:
        fen, name = self.draw.choice(AMOUNTS_FEN), f"w-{next(_names)}"
        person = self.people[member]
        bought = person.buy(name, fen, clock.business_day(self.now))
        receipt = Receipt(self.store, name, member, fen, self.now, staff_id=self.clerk_id)
        purchases.record_receipts([receipt], now=self.now)
        id_ = one(Purchase.id, Purchase.receipt_no == name)
        person.receipts[id_] = bought
        if bought.points:
            person.account.grant(name, bought.points, self.ends(self.now))

    def signs_in(self, member: int) -> None:
        checkins.check_in(member, key=a_key(member, None), now=self.now)
        person, day = self.people[member], clock.business_day(self.now)
        if day not in person.days:
            person.days.add(day)
            person.account.grant(f"day {day}", SIGN_POINTS, self.ends(self.now))

    def redeems(self, member: int) -> str | None:
        account = self.people[member].account
        taken = account.spend(PRICE_POINTS, self.now)
        try:
            done = said(redemptions.redeem(ask(member, self.reward), now=self.now))
        except NotEnoughPoints:
            assert taken is None
            return " refused"
        assert taken is not None
        trade = Trade(done["id"], clock.business_day(self.now), taken)
        self.people[member].trades.append(trade)
        return None

    def cancels(self, member: int) -> str | None:
        standing = [each for each in self.people[member].trades if not each.cancelled]
        if not standing:
            return " nothing"
        trade = self.draw.choice(standing)
        try:
            key = a_key(member, route="cancel")
            redemptions.cancel(member, trade.id, key=key, now=self.now)
        except Refused:
            return " refused"
        trade.cancelled = True
        self.people[member].account.give_back(trade.taken, self.now)
        return None

    def claims(self, member: int) -> str | None:
        task, person = self.draw.choice(self.tasks), self.people[member]
        self.tell()
        period = task.key(clock.business_day(self.now))
        may = person.progress(task)[period] >= task.target and (
            (task.id, period) not in person.claims
        )
        try:
            tasks.claim(task.id, member, key=a_key(member, route="claim"), now=self.now)
        except MallError as refusal:
            assert not may, refusal
            return " refused"
        assert may
        person.claim(task, period, self.ends, self.now)
        return None

    # what the till takes back

    def refunds(self, member: int) -> str | None:
        open_ = {id_: b for id_, b in self.people[member].receipts.items() if b.left_fen}
        if not open_:
            return " nothing"
        id_ = self.draw.choice(list(open_))
        bought, account = open_[id_], self.people[member].account
        fen = self.draw.choice([bought.left_fen, self.draw.randint(1, bought.left_fen)])
        key = a_key(route="refund")
        refunds.refund(id_, fen, clerk=clerk(self.clerk_id), key=key, now=self.now)
        row = one(sa.func.max(Refund.id), Refund.purchase_id == id_)
        before = bought.kept()
        bought.refunds.append((row, fen, [], 0))
        lost = before - bought.kept()
        taken, owed = self._take_back(account, bought.name, lost)
        bought.refunds[-1] = (row, fen, taken, owed)
        return None

    def _take_back(self, account: Any, name: str, lost: int) -> tuple[Any, int]:
        """Take points back; answers from which lots, and what is owed of them."""
        before, owed = {id(lot): lot.points for lot in account.lots}, account.debt
        account.expire(self.now)
        left = {id(lot): lot.points for lot in account.lots}
        account.take_back(name, lost, self.now)
        assert set(before) == set(left)
        parts = [
            (lot, left[id(lot)] - lot.points) for lot in account.lots if left[id(lot)] > lot.points
        ]
        return parts, account.debt - owed

    def undoes(self, member: int) -> str | None:
        """Undo a receipt; one with refunds that stand stays."""
        open_ = {id_: b for id_, b in self.people[member].receipts.items() if not b.undone}
        if not open_:
            return " nothing"
        id_ = self.draw.choice(list(open_))
        bought, points_of = open_[id_], open_[id_].points
        try:
            self._undo("purchase", id_)
        except Refused:
            assert bought.refunds or self._is_late("purchase", id_)
            return " refused"
        assert not bought.refunds
        bought.undone = True
        if points_of:
            self.people[member].account.take_back(bought.name, points_of, self.now)
        return None

    def undoes_refund(self, member: int) -> str | None:
        """Undo the last refund of a receipt, where nothing of it is owed."""
        found = [b for b in self.people[member].receipts.values() if b.refunds]
        found = [bought for bought in found if not bought.refunds[-1][3]]
        if not found:
            return " nothing"
        bought = self.draw.choice(found)
        row, _, taken, _ = bought.refunds[-1]
        try:
            self._undo("refund", row)
        except Refused:
            assert self._is_late("refund", row)
            return " refused"
        bought.refunds.pop()
        self.people[member].account.give_back(taken, self.now)
        return None

    def _undo(self, kind: str, ref_id: int) -> None:
        action = one(TillAction.id, TillAction.kind == kind, TillAction.ref_id == ref_id)
        key = a_key(route="undo")
        undo.undo(action, "录错了", staff=clerk(self.clerk_id), key=key, now=self.now)

    def _is_late(self, kind: str, ref_id: int) -> bool:
        at = one(TillAction.done_at, TillAction.kind == kind, TillAction.ref_id == ref_id)
        return self.now > at + timedelta(minutes=30)

    # what passes by itself

    def time_passes(self, _member: int) -> None:
        """The worker may be late: what was done may be told only after the night."""
        if self.draw.random() < 0.5:
            self.tell()
        day = clock.business_day(self.now)
        self.now += self.draw.choice(WAITS)
        if clock.business_day(self.now) != day:
            for job in (tiers.review, points.expire_due, tiers.review):
                jobs._until_done(lambda job=job: job(now=self.now))  # type: ignore[misc]
            for person in self.people.values():
                person.account.expire(self.now)

    def tell(self) -> None:
        """The worker tells everything, and what follows from it follows."""
        while reactions.drain(now=self.now):
            pass
        for person in self.people.values():
            person.settle(self.tasks, self.ends, self.now)

    # what both say

    def compare(self) -> None:
        for member, person in self.people.items():
            account = person.account
            columns = (Account.balance_points, Account.debt_points, Account.growth_value)
            real = rows(*columns, Account.tier_code, where=[Account.member_id == member])
            told = [(account.balance, account.debt, person.growth, person.tier)]
            assert real == told, self._differs(member, real, told)
            mine = [Lot.member_id == member]
            lots = rows(Lot.points_left, Lot.expires_at, where=mine, order=Lot.id)
            kept = [(lot.points, lot.expires_at) for lot in account.lots]
            assert lots == kept, self._differs(member, lots, kept)
            self._compare_tasks(member, person)

    def _differs(self, member: int, real: object, told: object) -> str:
        story = "\n".join(self.story[-60:])
        return f"member {member}: the shop has {real}, the model {told}\n{story}"

    def _compare_tasks(self, member: int, person: Person) -> None:
        day = clock.business_day(self.now)
        seen = {each["id"]: each for each in tasks.listed(member, now=self.now)}
        for task in self.tasks:
            done = min(person.progress(task)[task.key(day)], task.target)
            state = "claimable" if done == task.target else "todo"
            if (task.id, task.key(day)) in person.claims:
                state = "claimed"
            shown = seen[task.id]
            real, told = (shown["progress"], shown["state"]), (done, state)
            assert real == told, f"{task}: {self._differs(member, real, told)}"

    def count_trades(self) -> int:
        """Redemptions that stand, by the model; the shop's are to be as many."""
        standing = [t for p in self.people.values() for t in p.trades if not t.cancelled]
        assert len(standing) == one(sa.func.count(), Redemption.state != "cancelled")
        return len(standing)
