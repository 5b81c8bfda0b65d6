"""What the tests of tasks do and read: publish tasks, do things on a day, look and claim."""

import itertools

import pytest
import sqlalchemy as sa

from mall import bundles, checkins, purchases, reactions, referrals, refunds, tasks, undo
from mall.atomic import atomic
from mall.events import Joined, record
from mall.purchases import Receipt
from models import LedgerEntry, Member, Purchase, TaskClaim, TaskMark, TaskVersion, TillAction
from tests.makers import a_key
from tests.mall.books import clerk, one, rows, said
from tests.mall.tier_books import day, days

__all__ = ["day", "days"]
SUN = day("2027-01-10")
MON = day("2027-01-11")
_count = itertools.count(1)


def a_step(counts, target=1, code="s", **only):
    names = {"code": code, "title": code, "title_en": code, "counts": counts, "target": target}
    return {**names, "only": only}


def a_task(*steps, **values):
    blank = {
        **{"code": "t", "period": "once", "title": "任务", "title_en": "Task", "ordered": False},
        **{"audience": {}, "starts_on": None, "ends_on": None, "points": 10, "bundle_code": ""},
        **{"automatic": False, "sort": 0},
    }
    return {**blank, "steps": list(steps), **values}


class TaskBooks:
    """A shop with tasks, in which days pass as the test says."""

    def __init__(self, stores, hired):
        self.stores, self.admin, self.clerk = stores, hired["admin"], clerk(hired["clerk-a"])
        self.today = SUN

    def write(self, *steps, at=SUN, publish=True, **values):
        who = {"staff_id": self.admin, "key": a_key(route="tasks")}
        return said(tasks.write(a_task(*steps, **values), publish=publish, **who, now=at))

    def publish(self, *steps, at=SUN, **values):
        """Put a task in force; answers its id."""
        return self.write(*steps, at=at, **values)["task_id"]

    def retire(self, task_id, *, at):
        newest = one(sa.func.max(TaskVersion.id), TaskVersion.task_id == task_id)
        tasks.retire(newest, staff_id=self.admin, key=a_key(route="retire"), now=at)

    def bundle(self, code="gift", **parts):
        values = {"code": code, "name": "礼包", "points": 0, "growth_value": 0, "rewards": []}
        key = a_key(route="bundles")
        said(
            bundles.publish(
                {**values, "benefits": [], **parts}, staff_id=self.admin, key=key, now=SUN
            )
        )

    def drain(self, at):
        while reactions.drain(now=at):
            pass

    def buy(self, member, yuan=100, *, at, store="A", items=(), told=True, paid_at=None):
        """Show a receipt, and let the worker hear of it; answers its id."""
        number, who = f"r-{next(_count)}", self.clerk.id
        receipt = Receipt(
            *(self.stores[store], number, member, yuan * 100, paid_at or at),
            staff_id=who,
            items=items,
        )
        purchases.record_one(receipt, key=a_key(route="buy"), now=at)
        if told:
            self.drain(at)
        return one(Purchase.id, Purchase.receipt_no == number)

    def refund(self, purchase_id, yuan=None, *, at, items=()):
        asked = refunds.Asked(None if yuan is None else yuan * 100, items)
        key = a_key(route="refund")
        refund = said(refunds.refund(purchase_id, asked, clerk=self.clerk, key=key, now=at))["id"]
        self.drain(at)
        return refund

    def undo(self, kind, ref_id, *, at):
        where = [TillAction.kind == kind, TillAction.ref_id == ref_id]
        action = rows(TillAction.id, where=where, order=TillAction.id.desc())[0][0]
        undo.undo(action, "录错了", staff=self.clerk, key=a_key(route="undo"), now=at)
        self.drain(at)

    def check_in(self, member, *, at, told=True):
        checkins.check_in(member, key=a_key(member, text=None), now=at)
        if told:
            self.drain(at)

    def befriend(self, inviter, friend, *, at, told=True):
        """Let a member be one who joined by another's invitation."""
        code = one(Member.invite_code, Member.id == inviter)
        with atomic():
            assert referrals.bind(friend, code, now=at)
            record(Joined(friend), now=at)
        if told:
            self.drain(at)

    def list(self, member, at):
        return tasks.listed(member, now=at)

    def seen(self, member, at, code="t"):
        """(progress, target, state) of a task in a member's list; None where it is not there."""
        shown = {each["code"]: each for each in self.list(member, at)}
        return code in shown and tuple(shown[code][n] for n in ("progress", "target", "state"))

    def claim(self, member, task, at, period_key=None, key=None):
        asked = key or a_key(member, route="claim")
        return said(tasks.claim(task, member, period_key=period_key, key=asked, now=at))


@pytest.fixture
def shop(stores, hired):
    return TaskBooks(stores, hired)


def paid(member):
    """What tasks gave and took, in order."""
    entry = LedgerEntry
    where = [entry.member_id == member, entry.kind.in_(["task", "task_back"])]
    return [delta for (delta,) in rows(entry.delta_points, where=where, order=entry.seq)]


def claims(member):
    where = [TaskClaim.member_id == member]
    return [state for (state,) in rows(TaskClaim.state, where=where)]


def marks(member):
    """Everything a member did that counted: (step, period, amount)."""
    mark = TaskMark
    columns = (mark.step, mark.period, mark.amount)
    return rows(*columns, where=[mark.member_id == member], order=mark.id)
