"""Settling: an automatic task that is done gives, and what a refund undid is taken back.

Points are taken back whatever became of them, as a refund takes what a receipt earned; of a gift goes
what nobody has used. Where something was used the claim is `kept`: done again, it gives nothing more.
A claim that was taken back whole is made again where what took it is undone.
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
from mall.tasks.periods import end_of, is_of
from mall.tasks.progress import Key, progress_of
from mall.tasks.rules import Version
from models import LedgerEntry, TaskClaim
from models.base import table_of

BACK = "task_back"
CLAIMED, KEPT, TAKEN_BACK = "claimed", "kept", "taken_back"
GIFT_USED = "gift_used"
_claims = table_of(TaskClaim)


def settle(touched: Collection[Key], *, book: Book, now: datetime) -> None:
    """Give and take back what follows from the progress of some members in some periods."""
    if not touched:
        return
    claims, before = live(touched), taken_back(touched)
    judges = _judges(touched, {**before, **claims}, now)
    done = {key: each.is_done for key, each in progress_of(judges).items()}
    for key, claim in sorted(claims.items()):
        if claim.state == CLAIMED and not done[key]:
            _take_back(claim, judges[key], book, now)
        elif claim.state == KEPT and done[key]:
            _turn(claim.id, now, state=CLAIMED, note="")
    for automatic in (True, False):
        fresh = [
            Wanted(key, judges[key])
            for key in sorted(set(touched) - set(claims))
            if done[key]
            and book.account(key[0]).state != "closed"
            and _gives_itself(judges[key], before.get(key)) is automatic
        ]
        give(fresh, automatic=automatic, book=book, now=now)


def _gives_itself(version: Version, before: Any) -> bool | None:
    """Whether a task that is done gives by itself; a claim that was taken back gives as it did."""
    if before is not None:
        return bool(before.automatic)
    return True if version.automatic and version.active else None


def live(keys: Collection[Key]) -> dict[Key, Any]:
    """The claims that stand in some periods."""
    return _claims_of(keys, _claims.c.state != TAKEN_BACK)


def taken_back(keys: Collection[Key]) -> dict[Key, Any]:
    """The last claims in some periods that were taken back."""
    return _claims_of(keys, _claims.c.state == TAKEN_BACK)


def _claims_of(keys: Collection[Key], which: Any) -> dict[Key, Any]:
    place = (_claims.c.member_id, _claims.c.task_id, _claims.c.period)
    named = sa.tuple_(*place).in_(sorted(keys))
    rows = read(sa.select(_claims).where(named, which).order_by(_claims.c.id))
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
            found[key] = _last_of(versions, key[2], now)
    return found


def _last_of(versions: Sequence[Version], period: str, now: datetime) -> Version:
    """The last version that was in force in a period."""
    same = [each for each in versions if is_of(each, period)]
    end = end_of(same[-1], period)
    return rules.at(same, min(now, end) if end else now) or same[0]


def _take_back(claim: Any, version: Version, book: Book, now: datetime) -> None:
    """Take back what a claim gave: its points, and of its gift what is not used."""
    gone = bundles.take_back(GIFT, str(claim.id), book=book, now=now)
    if gone is not None and (gone.units_used or gone.uses_used):
        _turn(claim.id, now, state=KEPT, note=GIFT_USED)
    else:
        _turn(claim.id, now, state=TAKEN_BACK)
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
