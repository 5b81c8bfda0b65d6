"""The gift of a tier: a bundle for whoever rises to it, once for each tier that is reached.

Keeping a tier gives none. Who falls and rises again is given it again only where the tier says so.
A rise that a refund undid takes its gifts back, as far as they are not used. What was sold out when
somebody rose is tried again for a week.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import bundles, points, tiers
from mall.atomic import atomic, read
from mall.bundles import Gift
from mall.events import Fact, TierChanged
from mall.points import Book
from models import Account, GivenBundle, TierChange
from models.base import table_of

REF = "tier_gift"
CATCH_UP_DAYS = 7
LOOKED_AT_ONCE = 10_000  # rises of a week


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


def catch_up(*, now: datetime) -> int:
    """Give what was sold out when members rose in the last days; answers to how many."""
    given = 0
    for fact in _rises(now - timedelta(days=CATCH_UP_DAYS), now):
        with atomic():
            book = points.open_book([fact.member_id], now=now, lots=True)
            gifts = [_gift(fact, code) for code in _due(fact) if not _known(fact, code)]
            outcomes = bundles.give_many(gifts, book=book, now=now)
            given += any(each.state == bundles.GIVEN for each in outcomes)
            book.write()
    return given


def _rises(since: datetime, until: datetime) -> list[TierChanged]:
    """Rises of a time that no refund undid, of members who have the tier or a higher one still."""
    change, other, account = table_of(TierChange), table_of(TierChange).alias(), table_of(Account)
    undone = sa.exists().where(other.c.undoes_id == change.c.id)
    query = (
        sa.select(change, account.c.tier_code)
        .join(account, account.c.member_id == change.c.member_id)
        .where(change.c.changed_at.between(since, until), change.c.undoes_id.is_(None), ~undone)
        .order_by(change.c.id)
        .limit(LOOKED_AT_ONCE)
    )
    place = {tier.code: number for number, tier in enumerate(tiers.ladder())}
    return [
        TierChanged(*(row.member_id, row.id, row.tier_before, row.tier_after, "up", row.source))
        for row in read(query)
        if place[row.tier_before] < place[row.tier_after] <= place[row.tier_code]
    ]


def _known(fact: TierChanged, code: str) -> bool:
    """Whether this very rise has given this gift, though it was taken back."""
    gift = table_of(GivenBundle).c
    ref = _gift(fact, code).ref_id
    return bool(read(sa.select(gift.id).where(gift.ref_kind == REF, gift.ref_id == ref)))


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
