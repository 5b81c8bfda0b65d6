"""Giving: a claim is written once a period, and gives points, a bundle or both, whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mall import bundles
from mall.atomic import atomic
from mall.bundles import Gift
from mall.bundles import Given as GivenBundle
from mall.points import Book, Cause
from mall.tasks.progress import Key
from mall.tasks.rules import Version
from models import TaskClaim
from models.base import insert, table_of

KIND, CLAIM = "task", "task_claim"  # of an entry, of what it refers to
GIFT = "task"  # what a bundle's cause is called
_claims = table_of(TaskClaim)


@dataclass(frozen=True)
class Wanted:
    """A task that a member has done in a period, by the version that gives."""

    key: Key
    version: Version


@dataclass(frozen=True)
class Given:
    """What a claim gave."""

    wanted: Wanted
    claim_id: int
    points: int
    gift: GivenBundle | None


def give(wanted: Sequence[Wanted], *, automatic: bool, book: Book, now: datetime) -> list[Given]:
    """Give what tasks give; what was claimed before, or whose gift is not there, is left out.

    The book holds the members' accounts, and its owner writes it.
    """
    if not wanted:
        return []
    with atomic():
        ids = _claim(wanted, automatic, now)
        fresh = [each for each in wanted if each.key in ids]
        gifts = _give_bundles(fresh, ids, book, now)
        given = []
        for each in fresh:
            gift = gifts.get(each.key)
            if gift is None or gift.state == bundles.GIVEN:
                points = _give_points(each, ids[each.key], book)
                given.append(
                    Given(each, ids[each.key], points + (gift.points if gift else 0), gift)
                )
        kept = {each.claim_id: each.points for each in given}
        _finish(kept, [id_ for id_ in ids.values() if id_ not in kept])
    return given


def _claim(wanted: Sequence[Wanted], automatic: bool, now: datetime) -> dict[Key, int]:
    """Write claims; one that stands already makes no second."""
    rows = [
        {
            "member_id": each.key[0],
            "task_id": each.key[1],
            "period": each.key[2],
            "version_id": each.version.id,
            "state": "claimed",
            "automatic": automatic,
            "points": 0,
            "note": "",
            "claimed_at": now,
        }
        for each in wanted
    ]
    columns = (_claims.c.id, _claims.c.member_id, _claims.c.task_id, _claims.c.period)
    statement = insert(TaskClaim).on_conflict_do_nothing().returning(*columns)
    with atomic() as transaction:
        added = transaction.execute(statement, rows).all()
    return {(row.member_id, row.task_id, row.period): row.id for row in added}


def _give_bundles(
    wanted: Sequence[Wanted], ids: dict[Key, int], book: Book, now: datetime
) -> dict[Key, GivenBundle]:
    with_bundle = [each for each in wanted if each.version.bundle_code]
    if not with_bundle:
        return {}
    gifts = [
        Gift(
            *(each.key[0], each.version.bundle_code, GIFT, str(ids[each.key])),
            reason=each.version.title,
        )
        for each in with_bundle
    ]
    outcomes = bundles.give_many(gifts, book=book, now=now)
    return {each.key: given for each, given in zip(with_bundle, outcomes, strict=True)}


def _give_points(each: Wanted, claim_id: int, book: Book) -> int:
    version = each.version
    cause = Cause(
        *(KIND, CLAIM, str(claim_id), "system"),
        reason=version.title,
        rule=version.label,
        rule_version=version.version,
    )
    book.earn(each.key[0], version.points, cause)
    return version.points


def _finish(points: dict[int, int], missed: Sequence[int]) -> None:
    """Write down what claims gave; one that gave nothing has not been made."""
    with atomic() as transaction:
        rows = [{"claim": id_, "given": given} for id_, given in points.items() if given]
        if rows:
            transaction.execute(
                sa.update(_claims)
                .where(_claims.c.id == sa.bindparam("claim"))
                .values(points=sa.bindparam("given")),
                rows,
            )
        if missed:
            transaction.execute(sa.delete(_claims).where(_claims.c.id.in_(missed)))
