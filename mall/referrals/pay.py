"""What referrals pay: promises till the refund window ends, then points, bundles and the ladder."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import bundles, clock, points
from mall.atomic import atomic
from mall.bundles import Gift
from mall.points import Book, Cause, Promise
from mall.referrals.states import Open
from mall.referrals.terms import JOIN, PURCHASE, Gain, Step, Terms
from models import PendingGrant, Referral, ReferralStep
from models.base import insert, table_of

KINDS = {  # of the entries: the inviter's, the friend's
    JOIN: ("referral_join", "referral_join_welcome"),
    PURCHASE: ("referral", "referral_welcome"),
}
REFS = {JOIN: "referral_join", PURCHASE: "referral"}
STEP = "referral_step"
REASON = "邀请有礼"


def promise(
    referral: Open, stage: str, terms: Terms, *, since: datetime, now: datetime
) -> datetime:
    """Promise what a stage pays, due so many days after `since`; answers when that is."""
    _count(referral, terms.stages[stage].inviter, terms, now)
    due_at = since + timedelta(days=terms.stages[stage].pending_days)
    ref_id = str(referral.invitee_id)
    _clear(REFS[stage], ref_id)
    promised = [
        Promise(member_id, gain.points, _cause(kind, REFS[stage], ref_id, terms), due_at)
        for member_id, gain, kind in _sides(referral, stage, terms)
        if gain.points
    ]
    points.promise_many(promised, now=now)
    return due_at


def withdraw(referral: Open, stage: str) -> None:
    """Let what was promised be nobody's."""
    points.void_promises(REFS[stage], str(referral.invitee_id))


def grant(referral: Open, stage: str, *, book: Book, now: datetime) -> int:
    """Grant the points of a stage that are due; answers how many promises."""
    return points.activate(REFS[stage], str(referral.invitee_id), book=book, now=now)


def _sides(referral: Open, stage: str, terms: Terms) -> list[tuple[int, Gain, str]]:
    """Who gets what: the inviter nothing where a cap of theirs was reached."""
    for_inviter, for_friend = KINDS[stage]
    paid = terms.stages[stage]
    return [
        (referral.inviter_id, Gain() if referral.capped else paid.inviter, for_inviter),
        (referral.invitee_id, paid.friend, for_friend),
    ]


def _cause(kind: str, ref_kind: str, ref_id: str, terms: Terms) -> Cause:
    named = {"rule": terms.label, "rule_version": terms.version}
    return Cause(kind, ref_kind, ref_id, "system", **named)  # type: ignore[arg-type]


def _clear(ref_kind: str, ref_id: str) -> None:
    """A promise that was withdrawn makes room for the same one made again."""
    table = table_of(PendingGrant)
    with atomic() as transaction:
        transaction.execute(
            sa.delete(table).where(
                table.c.ref_kind == ref_kind,
                table.c.ref_id == ref_id,
                table.c.state == "voided",
            )
        )


def _count(referral: Open, gain: Gain, terms: Terms, now: datetime) -> None:
    """Count a friend for the inviter's caps, at the first moment that pays the inviter anything."""
    if not gain or referral.counted_on or referral.capped:
        return
    today = clock.business_day(now)
    table = table_of(Referral)
    mine = (table.c.inviter_id == referral.inviter_id) & table.c.counted_on.is_not(None)
    on_day = sa.func.count().filter(table.c.counted_on == today).label("on_day")
    with atomic() as transaction:
        query = sa.select(sa.func.count().label("ever"), on_day).select_from(table).where(mine)
        counted = transaction.execute(query).one()
    caps = terms.caps
    if caps.for_life is not None and counted.ever >= caps.for_life:
        referral.capped = "life"
    elif caps.per_day is not None and counted.on_day >= caps.per_day:
        referral.capped = "day"
    else:
        referral.counted_on = today


def promised_points(referral: Open, terms: Terms) -> int:
    """What the inviter gets in points for this friend, paid or promised."""
    on_way = {
        JOIN: bool(referral.join_paid_at or referral.join_due_at),
        PURCHASE: bool(referral.due_at),
    }
    if referral.capped:
        return 0
    return sum(terms.stages[stage].inviter.points for stage, is_so in on_way.items() if is_so)


def give(
    referral: Open, stage: str, terms: Terms, *, book: Book, now: datetime
) -> list[bundles.Given]:
    """Give the bundles of a stage whose days are over; its points are promised apart."""
    gifts = [
        Gift(member_id, gain.bundle, kind, str(referral.invitee_id), reason=REASON)
        for member_id, gain, kind in _sides(referral, stage, terms)
        if gain.bundle
    ]
    return bundles.give_many(gifts, book=book, now=now) if gifts else []


def climb(referral: Open, terms: Terms, *, book: Book, now: datetime) -> list[bundles.Given]:
    """Give the inviter the steps of the ladder that their friends reach, each once for life."""
    inviter = referral.inviter_id
    if not terms.ladder or referral.capped or book.account(inviter).state == "closed":
        return []
    table = table_of(Referral)
    query = sa.select(sa.func.count()).where(
        table.c.inviter_id == inviter,
        table.c.state == "rewarded",
        table.c.capped == "",
    )
    with atomic() as transaction:
        friends = transaction.execute(query).scalar_one()
    reached = [step for step in terms.ladder if step.friends <= friends]
    fresh, ref = _claim(inviter, reached, terms, now), f"{inviter}:%s"
    for step in fresh:
        book.earn(inviter, step.gain.points, _cause(STEP, STEP, ref % step.friends, terms))
    gifts = [
        Gift(inviter, step.gain.bundle, STEP, ref % step.friends, reason=REASON)
        for step in fresh
        if step.gain.bundle
    ]
    return bundles.give_many(gifts, book=book, now=now) if gifts else []


def _claim(inviter_id: int, steps: Sequence[Step], terms: Terms, now: datetime) -> list[Step]:
    """Steps that this inviter has not been given by any version."""
    rows = [
        {
            "inviter_id": inviter_id,
            "friends": step.friends,
            "rule_version": terms.version,
            "points": step.gain.points,
            "bundle_code": step.gain.bundle,
            "paid_at": now,
        }
        for step in steps
    ]
    if not rows:
        return []
    statement = insert(ReferralStep).on_conflict_do_nothing().returning(ReferralStep.friends)
    with atomic() as transaction:
        added = set(transaction.execute(statement, rows).scalars())
    return [step for step in steps if step.friends in added]
