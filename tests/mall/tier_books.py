"""What the tests of tiers do and read: publish rules, buy on a day, review as of a moment."""

import itertools
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from mall import purchases, reactions, refunds, tiers
from mall.purchases import Receipt
from models import Account, Purchase, TierChange
from tests.makers import a_key
from tests.mall.books import clerk, one, rows, said

SHANGHAI = ZoneInfo("Asia/Shanghai")
_count = itertools.count(1)


def day(text: str, hour: int = 12) -> datetime:
    """A moment of a day in the shop."""
    return datetime.fromisoformat(f"{text}T{hour:02}:00:00").replace(tzinfo=SHANGHAI)


def days(count: int) -> timedelta:
    return timedelta(days=count)


class TierBooks:
    """A shop with tiers, in which days pass as the test says."""

    def __init__(self, stores: dict[str, int], hired: dict[str, int]) -> None:
        self.store, self.admin, self.clerk = stores["A"], hired["admin"], hired["clerk-a"]

    def rules(self, *, at: datetime, effective_at: datetime | None = None, **values) -> dict:
        """Publish rules that say this, and for the rest what is in force."""
        drafted = self.draft(at=at, **values)
        who = {"staff_id": self.admin, "key": a_key(route="publish")}
        done = tiers.drafts.publish(drafted["id"], effective_at=effective_at, **who, now=at)
        return said(done)

    def draft(self, *, at: datetime, **values) -> dict:
        who = {"staff_id": self.admin, "key": a_key(route="draft")}
        return said(tiers.drafts.draft(values, **who, now=at))

    def buy(self, member: int, yuan: int, *, at: datetime, paid_at: datetime | None = None) -> int:
        """Show a receipt; answers its id."""
        number = f"r-{next(_count)}"
        receipt = Receipt(self.store, number, member, yuan * 100, paid_at or at)
        purchases.record_receipts([receipt], now=at)
        return one(Purchase.id, Purchase.receipt_no == number)

    def refund(self, purchase_id: int, yuan: int, *, at: datetime) -> dict:
        who = {"clerk": clerk(self.clerk), "key": a_key(route="refund")}
        return said(refunds.refund(purchase_id, yuan * 100, **who, now=at))

    def grant(self, member: int, tier: str, until: datetime | None = None, *, at: datetime) -> dict:
        who = {"staff_id": self.admin, "key": a_key(route="grant")}
        return said(tiers.grants.grant(member, tier, until=until, reason="补偿", **who, now=at))

    def review(self, at: datetime) -> int:
        """Do all that is due at a moment; answers in how many pieces."""
        pieces = 0
        while tiers.review(now=at):
            pieces += 1
            assert pieces < 100, "the review does not come to an end"
        return pieces

    def drain(self, at: datetime) -> None:
        while reactions.drain(now=at):
            pass


@pytest.fixture
def shop(stores, hired) -> TierBooks:
    return TierBooks(stores, hired)


def tier(member: int) -> str:
    return one(Account.tier_code, Account.member_id == member)


def growth(member: int) -> int:
    return one(Account.growth_value, Account.member_id == member)


def changes(member: int) -> list[tuple[str, str, str]]:
    """(before, after, source) of each change, in order."""
    change = TierChange
    columns = (change.tier_before, change.tier_after, change.source)
    return rows(*columns, where=[change.member_id == member], order=change.id)


def members_in(code: str) -> int:
    return one(sa.func.count(), Account.tier_code == code)
