"""Settling: an automatic task that is done gives, and what a refund undid is taken back.

A gift of which a voucher was used stays, with its reason noted, and becomes plain again where the task
is done again. Points are taken back whatever became of them, as a refund takes what a receipt earned.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import bundles, shop
from mall.atomic import atomic, read
from mall.points import Book, Cause
from mall.tasks import rules
from mall.tasks.give import CLAIM, GIFT, KIND, Wanted, give
from mall.tasks.periods import end_of
from mall.tasks.progress import Key, progress_of
from mall.tasks.rules import Version
from models import GivenBundle, LedgerEntry, Redemption, TaskClaim
from models.base import table_of

BACK = "task_back"
CLAIMED, KEPT, TAKEN_BACK = "claimed", "kept", "taken_back"
GIFT_USED = "gift_used"
UNUSED = ("issued", "cancelled", "expired")
_claims = table_of(TaskClaim)


def settle(touched: Collection[Key], *, book: Book, now: datetime) -> None:
    """Give and take back what follows from the progress of some members in some periods."""
    if not touched:
        return
    claims = live(touched)
    judges = _judges(touched, claims, now)
    done = {key: each.is_done for key, each in progress_of(judges).items()}
    for key, claim in sorted(claims.items()):
        if claim.state == CLAIMED and not done[key]:
            _take_back(claim, judges[key], book, now)
        elif claim.state == KEPT and done[key]:
            _turn(claim.id, now, state=CLAIMED, note="")
    fresh = [
        Wanted(key, judges[key])
        for key in sorted(touched)
        if key not in claims and done[key] and _gives_itself(judges[key], key, book)
    ]
    give(fresh, automatic=True, book=book, now=now)


def _gives_itself(version: Version, key: Key, book: Book) -> bool:
    return version.automatic and version.active and book.account(key[0]).state != "closed"


def live(keys: Collection[Key]) -> dict[Key, Any]:
    """The claims that stand in some periods."""
    place = (_claims.c.member_id, _claims.c.task_id, _claims.c.period)
    named = sa.tuple_(*place).in_(sorted(keys))
    rows = read(sa.select(_claims).where(named, _claims.c.state != TAKEN_BACK))
    return {(row.member_id, row.task_id, row.period): row for row in rows}


def _judges(keys: Collection[Key], claims: Mapping[Key, Any], now: datetime) -> dict[Key, Version]:
    """By which version each is judged: a claim by its own, else the last of the period."""
    tasks = rules.of_tasks({task_id for _, task_id, _ in keys})
    found = {}
    for key in keys:
        versions = tasks[key[1]]
        if key in claims:
            found[key] = next(v for v in versions if v.id == claims[key].version_id)
        else:
            end = end_of(versions[-1], key[2])
            found[key] = rules.at(versions, min(now, end) if end else now)
    return found


def _take_back(claim: Any, version: Version, book: Book, now: datetime) -> None:
    """Take back what a claim gave, unless it is used."""
    if _is_used(claim.id):
        _turn(claim.id, now, state=KEPT, note=GIFT_USED)
        return
    _turn(claim.id, now, state=TAKEN_BACK)
    bundles.take_back(GIFT, str(claim.id), book=book, now=now)
    entry = _entry_of(claim.id)
    if entry is not None:
        cause = Cause(
            *(BACK, CLAIM, str(claim.id), "system"),
            reason=version.title,
            rule=version.label,
            rule_version=version.version,
        )
        book.take_back(
            *(claim.member_id, entry.id, entry.delta_points, cause),
            from_others=shop.setting("take_back_from_other_lots"),
            forgive=shop.setting("refund_shortfall") == "forgive",
        )


def _is_used(claim_id: int) -> bool:
    """Whether something of a gift was handed over."""
    gift = sa.select(GivenBundle.id, GivenBundle.member_id).where(
        GivenBundle.ref_kind == GIFT, GivenBundle.ref_id == str(claim_id)
    )
    for row in read(gift):
        used = sa.select(Redemption.id).where(
            Redemption.member_id == row.member_id,
            Redemption.request_key.startswith(f"gift:{row.id}:", autoescape=True),
            Redemption.state.not_in(UNUSED),
        )
        if read(used.limit(1)):
            return True
    return False


def _entry_of(claim_id: int) -> Any:
    query = sa.select(LedgerEntry.id, LedgerEntry.delta_points).where(
        LedgerEntry.kind == KIND,
        LedgerEntry.ref_kind == CLAIM,
        LedgerEntry.ref_id == str(claim_id),
    )
    found: Sequence[Any] = read(query)
    return found[0] if found else None


def _turn(claim_id: int, now: datetime, **values: Any) -> None:
    with atomic() as transaction:
        transaction.execute(
            sa.update(_claims).where(_claims.c.id == claim_id).values(changed_at=now, **values)
        )
