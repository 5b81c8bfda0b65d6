"""Occasions: when the shop writes to a member, and which variables a text may use.

A variable stands in braces: 亲爱的{nickname}. What it says is read at the moment of writing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import tiers
from mall.atomic import atomic
from mall.events import BundleGiven, Fact, Joined, PointsReminded, Purchased, TierChanged
from models import Account, Bundle, GivenBundle, Member, PointsReminder, Purchase, Store

VARIABLE = re.compile(r"\{([^{}]*)\}")
OF_EVERY_ONE = {"nickname": "小满", "tier_name": "银卡会员", "balance": "1280"}
NO_NAME = {"zh": "会员", "en": "member"}
LATE = timedelta(days=2)  # a receipt of long ago is no reason to say thanks

Said = Mapping[str, str]


@dataclass(frozen=True)
class Occasion:
    """A reason to write. `samples` names the variables of its own, with a value for a preview."""

    fact: type[Fact]
    samples: Said
    needs: frozenset[str]
    read: Callable[[Any, datetime], Said | None]  # None: nothing is to be written

    @property
    def variables(self) -> Said:
        return {**OF_EVERY_ONE, **self.samples}


def _row(query: sa.Executable) -> Any:
    with atomic() as transaction:
        return transaction.execute(query).one_or_none()


def _welcome(fact: Joined, now: datetime) -> Said | None:
    """Whoever was imported has long been a member."""
    imported = _row(
        sa.select(Member.id).where(Member.id == fact.member_id, Member.external_id.is_not(None))
    )
    return None if imported else {}


def _thanks(fact: Purchased, now: datetime) -> Said | None:
    columns = (Purchase.amount_fen, Purchase.points_awarded, Purchase.paid_at, Store.name)
    query = sa.select(*columns).join(Store, Store.id == Purchase.store_id)
    found = _row(query.where(Purchase.id == fact.purchase_id, Purchase.undone_at.is_(None)))
    if found is None or now - found.paid_at > LATE:
        return None
    yuan, fen = divmod(found.amount_fen, 100)
    said = {"amount_yuan": f"{yuan}.{fen:02}", "points": str(found.points_awarded)}
    return {**said, "store_name": found.name}


def _birthday(fact: BundleGiven, now: datetime) -> Said | None:
    query = sa.select(Bundle.name, Bundle.points).join(
        GivenBundle, GivenBundle.bundle_id == Bundle.id
    )
    found = _row(query.where(GivenBundle.id == fact.gift_id, GivenBundle.ref_kind == "birthday"))
    return None if found is None else {"gift_name": found.name, "points": str(found.points)}


def _tier_up(fact: TierChanged, now: datetime) -> Said | None:
    if fact.direction != "up" or fact.undoes_id is not None:
        return None
    names = {tier.code: tier.name for tier in tiers.ladder()}
    before, after = names[fact.tier_before], names[fact.tier_after]
    return {"tier_before_name": before, "tier_name": after}


def _expiring(fact: PointsReminded, now: datetime) -> Said | None:
    query = sa.select(PointsReminder.points, PointsReminder.expires_on)
    found = _row(query.where(PointsReminder.id == fact.reminder_id))
    assert found is not None
    return {"points": str(found.points), "expires_on": found.expires_on.isoformat()}


OCCASIONS: dict[str, Occasion] = {
    "welcome": Occasion(Joined, {}, frozenset(), _welcome),
    "thanks": Occasion(
        Purchased,
        {"amount_yuan": "128.50", "points": "128", "store_name": "人民广场店"},
        frozenset({"points"}),
        _thanks,
    ),
    "birthday": Occasion(
        BundleGiven, {"gift_name": "生日礼", "points": "100"}, frozenset(), _birthday
    ),
    "tier_up": Occasion(
        TierChanged, {"tier_before_name": "普通会员"}, frozenset({"tier_name"}), _tier_up
    ),
    "points_expiring": Occasion(
        PointsReminded,
        {"points": "300", "expires_on": "2027-03-31"},
        frozenset({"points", "expires_on"}),
        _expiring,
    ),
}


def of_member(member_id: int, *, language: str) -> Said:
    """The variables that every occasion has, as they stand for a member."""
    columns = (Member.nickname, Account.tier_code, Account.balance_points)
    query = sa.select(*columns).join(Account, Account.member_id == Member.id)
    found = _row(query.where(Member.id == member_id))
    assert found is not None
    names = {tier.code: tier.name for tier in tiers.ladder()}
    return {
        "nickname": found.nickname or NO_NAME[language],
        "tier_name": names[found.tier_code],
        "balance": str(found.balance_points),
    }


def used(text: str) -> set[str]:
    """The variables of a text, known or not."""
    return set(VARIABLE.findall(text))


def filled(text: str, said: Said) -> str:
    """A text with its variables said; one that nobody knows stays as it is written."""
    return VARIABLE.sub(lambda found: said.get(found[1], found[0]), text)
