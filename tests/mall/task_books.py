"""What the tests of tasks do and read: publish a task, buy, sign in, claim as of a moment."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from mall import bundles, checkins, merges, purchases, reactions, refunds, tasks, undo, vouchers
from mall.errors import MallError
from mall.purchases import Receipt
from mall.refunds import Asked
from models import Purchase, TaskClaim, TillAction, Voucher, db
from tests.makers import a_key
from tests.mall.books import clerk, one, rows, said
from tests.mall.tier_books import day

MONDAY = day("2027-03-01")
_count = itertools.count(1)


def step(counts: str, target: int = 1, code: str | None = None, **only: Any) -> dict[str, Any]:
    names = {"code": (code or counts)[:16], "title": "步骤", "title_en": "Step"}
    return {**names, "counts": counts, "target": target, "only": only}


class TaskBooks:
    """A shop with tasks, in which days pass as the test says."""

    def __init__(self, stores: dict[str, int], hired: dict[str, int]) -> None:
        self.stores, self.hired = stores, hired

    def task(
        self, code: str, *steps: dict[str, Any], at: datetime = MONDAY, **values: Any
    ) -> dict[str, Any]:
        """Publish a task that is done once, for everybody, and gives 10 points by hand."""
        rest = {"period": "once", "ordered": False, "audience": {}, "points": 10, "sort": 0}
        rest |= {"starts_on": None, "ends_on": None, "bundle_code": "", "active": True}
        names = {"code": code, "title": f"任务{code}", "title_en": code, "automatic": False}
        publish = values.pop("publish", True)
        who = {"staff_id": self.hired["admin"], "key": a_key(route="task"), "now": at}
        told = {**names, **rest, **values, "steps": list(steps)}
        return said(tasks.write(told, publish=publish, **who))

    def bundle(self, code: str, **parts: Any) -> None:
        values = {"code": code, "name": "专属礼", "points": 0, "growth_value": 0}
        values |= {"rewards": [], "benefits": [], **parts}
        who = {"staff_id": self.hired["admin"], "key": a_key(route="bundle")}
        bundles.publish(values, **who, now=MONDAY)

    def buy(self, member: int, yuan: int, *, at: datetime = MONDAY, **more: Any) -> int:
        """Show a receipt; answers its id."""
        number = f"t-{next(_count)}"
        store = self.stores[more.pop("store", "A")]
        more["staff_id"] = self.hired["clerk-a"]
        receipt = Receipt(store, number, member, yuan * 100, more.pop("paid_at", at), **more)
        purchases.record_receipts([receipt], now=at)
        self.drain(at)
        return one(Purchase.id, Purchase.receipt_no == number)

    def refund(
        self, purchase: int, yuan: int | None = None, *, at: datetime = MONDAY, items: Any = ()
    ) -> None:
        asked = Asked(yuan and yuan * 100, items)
        who = {"clerk": clerk(self.hired["clerk-a"]), "key": a_key(route="refund")}
        refunds.refund(purchase, asked, **who, now=at)
        self.drain(at)

    def undo(self, kind: str, ref_id: int, *, at: datetime = MONDAY) -> None:
        where = [TillAction.kind == kind, TillAction.ref_id == ref_id]
        action = rows(TillAction.id, where=where)[-1][0]
        who = {"staff": clerk(self.hired["clerk-a"]), "key": a_key(route="undo")}
        undo.undo(action, "录错了", **who, now=at)
        self.drain(at)

    def hand_over(self, member: int, *, at: datetime = MONDAY) -> None:
        """Let a member have what their first voucher is for."""
        db.session.rollback()
        voucher = db.session.scalars(sa.select(Voucher).where(Voucher.member_id == member)).first()
        assert voucher is not None
        who = {"clerk": clerk(self.hired["clerk-a"]), "key": a_key(route="use")}
        vouchers.use(vouchers.code_of(voucher), **who, now=at)

    def sign(self, member: int, *, at: datetime = MONDAY) -> None:
        checkins.check_in(member, key=a_key(member, None), now=at)
        self.drain(at)

    def merge(self, into: int, source: int, *, at: datetime = MONDAY) -> None:
        key = a_key(route="merge")
        merges.merge(into, source, "同一人", actor="staff:1", key=key, now=at)
        self.drain(at)

    def drain(self, at: datetime) -> None:
        while reactions.drain(now=at):
            pass

    def claim(
        self, member: int, task: dict[str, Any], *, at: datetime = MONDAY, **more: Any
    ) -> Any:
        """Claim; answers the points, or the code of the refusal."""
        try:
            key = a_key(member, route="claim")
            done = tasks.claim(task["task_id"], member, key=key, now=at, **more)
        except MallError as refusal:
            return refusal.code
        return said(done)["points_awarded"]

    def seen(self, member: int, task: dict[str, Any], *, at: datetime = MONDAY) -> Any:
        """(state, progress, target) of a task on a member's list; None where it isn't there."""
        listed = tasks.listed(member, now=at)
        found = [each for each in listed if each["id"] == task["task_id"]]
        return (found[0]["state"], found[0]["progress"], found[0]["target"]) if found else None


@pytest.fixture
def shop(stores, hired) -> TaskBooks:
    return TaskBooks(stores, hired)


def later(days: int, at: datetime = MONDAY) -> datetime:
    return at + timedelta(days=days)


def claims(member: int) -> list[str]:
    """The states of a member's claims, in order."""
    return [state for (state,) in rows(TaskClaim.state, where=[TaskClaim.member_id == member])]


def newest(model: Any) -> Any:
    return one(sa.func.max(model.id))
