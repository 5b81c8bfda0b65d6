"""Tasks against a model of them: whatever is bought, given back, undone and merged, both say the same.

The model remembers receipts and days and nothing else; it says from them alone how far a member is,
what they may claim and what tasks have paid.
"""

import itertools
import os
from dataclasses import dataclass, field
from datetime import date

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from mall import clock, members, merges
from mall.atomic import atomic
from mall.errors import NotFound, TaskClaimed, TaskMissed, TaskUnfinished
from models import LedgerEntry, TaskClaim
from tests.makers import a_key, grant
from tests.mall.books import rows, wrong
from tests.mall.task_books import TaskBooks, a_step, days

MEMBERS = 3
LONG = "TASK_MODEL_EXAMPLES" in os.environ  # random then, and a failure is made small
EXAMPLES = int(os.environ.get("TASK_MODEL_EXAMPLES", "10"))
PHASES = (Phase.generate, Phase.shrink) if LONG else (Phase.generate,)
TARGET_YUAN, BUYS = 1_000, 2
PRICES = {"spend": 7, "daily": 5, "two": 3}
_names = itertools.count(1)
who = st.integers(0, MEMBERS - 1)


@dataclass
class ModelReceipt:
    """A receipt: what is left of it, and the refunds that stand, the last at the end."""

    id: int
    day: date
    left: int
    refunds: list[tuple[int, int]] = field(default_factory=list)  # (id, yuan)
    undone: bool = False

    @property
    def counts(self) -> bool:
        return self.left > 0 and not self.undone


@dataclass
class ModelMember:
    """What somebody did, and which periods of which task they were given."""

    receipts: list[ModelReceipt] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    given: set[tuple[str, str]] = field(default_factory=set)
    again: set[tuple[str, str]] = field(default_factory=set)  # taken back, to be given again

    def spend(self) -> int:
        return sum(receipt.left for receipt in self.receipts if receipt.counts)

    def bought(self, day: date) -> int:
        return sum(receipt.counts and receipt.day == day for receipt in self.receipts)

    def is_done(self, task: str, period: str) -> bool:
        if task == "spend":
            return self.spend() >= TARGET_YUAN
        if task == "daily":
            return self.bought(date.fromisoformat(period)) >= BUYS
        return bool(self.days) and any(receipt.counts for receipt in self.receipts)

    def settle(self) -> None:
        """What is given by itself, what is taken back, what comes back with an undone refund."""
        for key in {*self.given, *self.again, ("spend", "once")}:
            if not self.is_done(*key):
                if key in self.given:
                    self.again.add(key)
                self.given.discard(key)
            elif key in self.again or key[0] == "spend":
                self.given.add(key)

    @property
    def paid(self) -> int:
        return sum(PRICES[task] for task, _ in self.given)


class TaskMachine(RuleBasedStateMachine):
    """Members who buy, give back and sign in, in a shop with three tasks."""

    def __init__(self, books: TaskBooks) -> None:
        super().__init__()
        self.shop, self.now = books, books.today
        people = [{"appid": "model", "openid": f"t{next(_names)}"} for _ in range(MEMBERS)]
        self.ids = list(members.join_many(people, tier_code="base", now=self.now).values())
        self.everybody = list(self.ids)
        for member in self.ids:
            with atomic():
                grant(member, 10**6)  # nobody ever owes points
        self.model = [ModelMember() for _ in self.ids]
        self.twice = 0  # paid to each of two who became one
        code = f"m{next(_names)}"
        spend = a_step("purchase_amount", TARGET_YUAN * 100)
        buys = a_step("purchase_count", BUYS)
        steps = (a_step("check_in", code="in"), a_step("purchase_count", code="buy"))
        at = {"at": self.now}
        self.tasks = {
            "spend": books.publish(
                spend, **at, code=f"{code}s", points=PRICES["spend"], automatic=True
            ),
            "daily": books.publish(
                buys, **at, code=f"{code}d", points=PRICES["daily"], period="daily"
            ),
            "two": books.publish(*steps, **at, code=f"{code}t", points=PRICES["two"]),
        }
        self.codes = {f"{code}{task[0]}": task for task in self.tasks}

    @property
    def today(self) -> date:
        return clock.business_day(self.now)

    @rule(at=who, yuan=st.sampled_from([1, 300, 500, 999, 1_000, 2_500]))
    def buy(self, at, yuan):
        at %= len(self.ids)
        made = self.shop.buy(self.ids[at], yuan, at=self.now)
        self.model[at].receipts.append(ModelReceipt(made, self.today, yuan))
        self.model[at].settle()

    @rule(at=who)
    def check_in(self, at):
        at %= len(self.ids)
        self.shop.check_in(self.ids[at], at=self.now)
        self.model[at].days.add(self.today)
        self.model[at].settle()

    @precondition(lambda self: self._receipts())
    @rule(data=st.data(), whole=st.booleans())
    def refund(self, data, whole):
        at, receipt = data.draw(st.sampled_from(self._receipts()))
        yuan = receipt.left if whole else data.draw(st.integers(1, receipt.left))
        made = self.shop.refund(receipt.id, yuan, at=self.now)
        receipt.left -= yuan
        receipt.refunds.append((made, yuan))
        self.model[at].settle()

    @precondition(lambda self: self._refunded())
    @rule(data=st.data())
    def undo_refund(self, data):
        at, receipt = data.draw(st.sampled_from(self._refunded()))
        made, yuan = receipt.refunds.pop()
        self.shop.undo("refund", made, at=self.now)
        receipt.left += yuan
        self.model[at].settle()

    @precondition(lambda self: self._whole())
    @rule(data=st.data())
    def undo_purchase(self, data):
        at, receipt = data.draw(st.sampled_from(self._whole()))
        self.shop.undo("purchase", receipt.id, at=self.now)
        receipt.undone = True
        self.model[at].settle()

    @rule(at=who, task=st.sampled_from(["daily", "two", "spend"]))
    def claim(self, at, task):
        at %= len(self.ids)
        model, key = self.model[at], (task, str(self.today) if task == "daily" else "once")
        may = model.is_done(*key) and key not in model.given
        try:
            self.shop.claim(self.ids[at], self.tasks[task], self.now)
        except (TaskUnfinished, TaskClaimed, TaskMissed, NotFound):
            assert not may
            return
        assert may
        model.given.add(key)

    @rule()
    def a_day_passes(self):
        self.now += days(1)

    @rule()
    def everything_is_told_again(self):
        self.shop.drain(self.now)

    @precondition(lambda self: len(self.ids) > 1)
    @rule()
    def two_become_one(self):
        source, target = self.ids.pop(), self.ids[0]
        old, new = self.model.pop(), self.model[0]
        key = a_key(route="merge")
        merges.merge(target, source, "同一人", actor="staff:1", key=key, now=self.now)
        self.shop.drain(self.now)
        self.twice += sum(PRICES[task] for task, _ in old.given & new.given)
        new.receipts += old.receipts
        new.days |= old.days
        new.again |= old.again
        new.given |= old.given
        new.settle()

    @invariant()
    def both_say_the_same(self):
        for member, model in zip(self.ids, self.model, strict=True):
            shown = {each["code"]: each for each in self.shop.list(member, self.now)}
            mine = {self.codes[code]: each for code, each in shown.items() if code in self.codes}
            said = {task: (each["progress"], each["state"]) for task, each in mine.items()}
            assert said == {task: self._expected(model, task) for task in self.tasks}
            assert self._claims(member) == model.given

    @invariant()
    def as_much_was_paid_as_the_model_says(self):
        entry = LedgerEntry
        where = [entry.kind.in_(["task", "task_back"]), entry.member_id.in_(self.everybody)]
        paid = sum(delta for (delta,) in rows(entry.delta_points, where=where))
        assert paid == sum(model.paid for model in self.model) + self.twice

    def _expected(self, model, task):
        key = (task, str(self.today) if task == "daily" else "once")
        progress = {
            "spend": min(model.spend(), TARGET_YUAN) * 100,
            "daily": min(model.bought(self.today), BUYS),
            "two": bool(model.days) + any(each.counts for each in model.receipts),
        }[task]
        state = "claimable" if model.is_done(*key) else "todo"
        return progress, "claimed" if key in model.given else state

    def _claims(self, member):
        names = {task_id: task for task, task_id in self.tasks.items()}
        where = [TaskClaim.member_id == member, TaskClaim.state == "claimed"]
        live = rows(TaskClaim.task_id, TaskClaim.period, where=where)
        return {(names[task_id], period) for task_id, period in live}

    def _receipts(self):
        return [(n, each) for n, m in enumerate(self.model) for each in m.receipts if each.counts]

    def _refunded(self):
        return [(n, each) for n, m in enumerate(self.model) for each in m.receipts if each.refunds]

    def _whole(self):
        return [(n, each) for n, each in self._receipts() if not each.refunds]

    def teardown(self):
        assert wrong() == []
        for task_id in self.tasks.values():  # the next example has tasks of its own
            self.shop.retire(task_id, at=self.now)
        self.shop.today = self.now + days(1)


@pytest.mark.covers("D4", "D7", "D9")
def test_whatever_is_done_and_undone_tasks_say_what_the_model_says(stores, hired, tune):
    tune("undo_window_minutes", 10**6)
    books = TaskBooks(stores, hired)
    run(
        lambda: TaskMachine(books),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            derandomize=not LONG,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
