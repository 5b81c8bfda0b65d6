"""Give bundles. What a member gets is what the bundle says at that moment."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import benefits, tiers
from mall.atomic import atomic
from mall.bundles.rules import in_force
from mall.bundles.units import Unit, hand_out, lock_shelf
from mall.events import BundleGiven, record_many
from mall.points import Book, Cause
from mall.tiers import Growth, Quota
from models import Bundle, GivenBundle
from models.base import insert, table_of

GIVEN, KNOWN, ABSENT, CLOSED, SOLD_OUT = "given", "known", "absent", "closed", "sold_out"


@dataclass(frozen=True)
class Gift:
    """A bundle for a member; `(ref_kind, ref_id)` is its cause and counts once."""

    member_id: int
    bundle_code: str
    ref_kind: str
    ref_id: str
    actor: str = "system"
    reason: str = ""

    @property
    def cause(self) -> tuple[str, str]:
        return self.ref_kind, self.ref_id


@dataclass(frozen=True)
class Given:
    """What came of a gift: `given`; `known`, given before; or why not: `absent`, `closed`, `sold_out`."""

    gift: Gift
    state: str
    id: int | None = None
    name: str = ""
    points: int = 0
    growth_value: int = 0
    units: int = 0
    uses: int = 0


@dataclass(eq=False)
class _Part:
    """A gift that is being given, by the version in force."""

    gift: Gift
    bundle: Bundle
    id: int = 0
    state: str = GIVEN

    @property
    def units(self) -> list[Unit]:
        who = self.gift.member_id
        items = self.bundle.rewards
        return [Unit(who, item["reward_id"], item["quantity"], self.id) for item in items]

    @property
    def benefits(self) -> list[benefits.Grant]:
        who = self.gift.member_id
        return [
            benefits.Grant(who, Quota(**item), benefit_ref(self.id, item["code"]))
            for item in self.bundle.benefits
        ]

    @property
    def cause(self) -> Cause:
        bundle, gift = self.bundle, self.gift
        return Cause(
            *("bundle", "bundle", str(self.id), gift.actor),
            reason=gift.reason or bundle.name,
            rule=f"{bundle.name}@{bundle.version}",
            rule_version=bundle.version,
        )

    @property
    def growth(self) -> Growth:
        member_id, value = self.gift.member_id, self.bundle.growth_value
        return Growth(member_id, value, "bundle", "bundle", str(self.id))

    @property
    def outcome(self) -> Given:
        bundle = self.bundle
        if self.state != GIVEN:
            return Given(self.gift, self.state, name=bundle.name)
        units = sum(unit.quantity for unit in self.units)
        uses = sum(item["uses"] for item in bundle.benefits)
        parts = (bundle.name, bundle.points, bundle.growth_value, units, uses)
        return Given(self.gift, GIVEN, self.id, *parts)


def benefit_ref(gift_id: int, code: str) -> str:
    """The cause of uses that a gift gives."""
    return f"bundle:{gift_id}:{code}"


def give_many(gifts: Sequence[Gift], *, book: Book, now: datetime) -> list[Given]:
    """Give bundles, each whole or not at all; who comes first gets the last units.

    The book holds the members' accounts, and its owner writes it. Of two gifts with one cause the
    second is `known`.
    """
    with atomic():
        found = in_force({gift.bundle_code for gift in gifts}) if gifts else {}
        parts = {
            number: _Part(gift, found[gift.bundle_code])
            for number, gift in enumerate(gifts)
            if gift.bundle_code in found and book.account(gift.member_id).state != "closed"
        }
        _claim(list(parts.values()), now)
        claimed = [part for part in parts.values() if part.state == GIVEN]
        shelf = lock_shelf(unit.reward_id for part in claimed for unit in part.units)
        _fit(claimed, shelf)
        _write([part for part in claimed if part.state == GIVEN], shelf, book, now)
    refused = [Given(each, CLOSED if each.bundle_code in found else ABSENT) for each in gifts]
    return [parts[n].outcome if n in parts else given for n, given in enumerate(refused)]


def _claim(parts: Sequence[_Part], now: datetime) -> None:
    """Write down who is given what; a cause that has given before gives nothing again."""
    rows = {part.gift.cause: _row(part, now) for part in parts}
    if not rows:
        return
    table = table_of(GivenBundle).c
    statement = insert(GivenBundle).on_conflict_do_nothing()
    with atomic() as transaction:
        added = transaction.execute(
            statement.returning(table.id, table.ref_kind, table.ref_id), list(rows.values())
        ).all()
    ids = {(row.ref_kind, row.ref_id): row.id for row in added}
    for part in parts:
        part.id = ids.pop(part.gift.cause, 0)  # the first of two with one cause has it
        part.state = GIVEN if part.id else KNOWN


def _row(part: _Part, now: datetime) -> dict[str, Any]:
    return {**vars(part.gift), "bundle_id": part.bundle.id, "state": "given", "given_at": now}


def _fit(parts: Sequence[_Part], shelf: dict[int, Any]) -> None:
    """Where not all of a gift's units are there, it is not given; its claim is taken back."""
    left = Counter({row.id: row.units_left for row in shelf.values() if row.published})
    for part in parts:
        if all(left[unit.reward_id] >= unit.quantity for unit in part.units):
            left.subtract({unit.reward_id: unit.quantity for unit in part.units})
        else:
            part.state = SOLD_OUT
    missed = [part.id for part in parts if part.state == SOLD_OUT]
    if missed:
        with atomic() as transaction:
            table = table_of(GivenBundle)
            transaction.execute(sa.delete(table).where(table.c.id.in_(missed)))


def _write(parts: Sequence[_Part], shelf: dict[int, Any], book: Book, now: datetime) -> None:
    for part in parts:
        book.earn(part.gift.member_id, part.bundle.points, part.cause)
    tiers.grow_many([part.growth for part in parts], now=now)
    benefits.grant_many([grant for part in parts for grant in part.benefits], now=now)
    facts = [BundleGiven(part.gift.member_id, part.id, part.bundle.code) for part in parts]
    record_many(facts, now=now)
    hand_out([unit for part in parts for unit in part.units], shelf, now)
