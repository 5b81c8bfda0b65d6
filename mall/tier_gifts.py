"""The gift of a tier: a bundle for whoever rises to it, once for each tier that is reached.

Keeping a tier gives none. Who falls and rises again is given it again only where the tier says so.
A rise that a refund undid takes its gifts back, as far as they are not used.
"""

from datetime import datetime

import sqlalchemy as sa

from mall import bundles, points, tiers
from mall.atomic import atomic
from mall.bundles import Gift
from mall.events import Fact, TierChanged
from mall.points import Book
from models import GivenBundle
from models.base import table_of

REF = "tier_gift"


def give_for_tier(fact: Fact, *, now: datetime) -> None:
    """Give what each tier that was passed gives; take back what an undone rise gave."""
    assert isinstance(fact, TierChanged)
    with atomic():
        book = points.open_book([fact.member_id], now=now, lots=True)
        if fact.direction == "up":
            gifts = [_gift(fact, code) for code in _due(fact)]
            bundles.give_many(gifts, book=book, now=now)
        elif fact.undoes_id is not None:
            _take_back(fact, book, now)
        book.write()


def _passed(fact: TierChanged) -> list[str]:
    """The tiers above the lower and up to the higher of the two."""
    codes = [tier.code for tier in tiers.ladder()]
    low, high = sorted((codes.index(fact.tier_before), codes.index(fact.tier_after)))
    return codes[low + 1 : high + 1]


def _due(fact: TierChanged) -> list[str]:
    """Those of the tiers that were passed that have a gift, and have not given it before."""
    perks, due = tiers.all_perks(), []
    for code in _passed(fact):
        if perks[code].gift_bundle and (perks[code].gift_each_time or not _given(fact, code)):
            due.append(code)
    return due


def _given(fact: TierChanged, code: str) -> bool:
    gift = table_of(GivenBundle).c
    query = sa.select(gift.ref_id).where(
        gift.member_id == fact.member_id, gift.ref_kind == REF, gift.state == "given"
    )
    with atomic() as transaction:  # a gift to somebody who was merged into this one is among them
        return any(ref.split(":")[1] == code for ref in transaction.execute(query).scalars())


def _gift(fact: TierChanged, code: str) -> Gift:
    bundle = tiers.benefits(code).gift_bundle
    assert bundle is not None
    ref = f"{fact.member_id}:{code}:{fact.change_id}"
    return Gift(fact.member_id, bundle, REF, ref, reason="升级礼")


def _take_back(fact: TierChanged, book: Book, now: datetime) -> None:
    for code in _passed(fact):
        ref = f"{fact.member_id}:{code}:{fact.undoes_id}"
        bundles.take_back(REF, ref, book=book, now=now)
