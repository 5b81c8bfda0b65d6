"""Where a referral stands, found anew from what is in the books; each of its exits happens once.

joined → qualified, with a purchase that reaches the minimum → rewarded, when the refund window of
that purchase is over. A purchase that is refunded or undone before then leaves the referral as it
was before it: the next one counts. A held referral has no promises till somebody has looked.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import bundles, points
from mall.atomic import Contended, atomic
from mall.events import Fact, Purchased, Referred, Refunded, Undone
from mall.points import Book
from mall.referrals import pay, rules
from mall.referrals.screen import look
from mall.referrals.states import OPEN, Open, load, people, save
from mall.referrals.terms import JOIN, PURCHASE, Terms
from models import Purchase, Referral

log = logging.getLogger(__name__)

TELLING = (Referred, Purchased, Refunded, Undone)
SETTLED_AT_ONCE = 100
MAX_BATCHES = 1000


def concerned(facts: Iterable[Fact]) -> set[int]:
    """Whose accounts `settle_by_fact` will lock for some facts; whoever tells many locks them sorted."""
    return people({fact.member_id for fact in facts if isinstance(fact, TELLING)})


def settle_by_fact(fact: Fact, *, now: datetime) -> None:
    """Something happened to a friend that may move their referral."""
    settle([fact.member_id], now=now)


def settle(friend_ids: Collection[int], *, now: datetime) -> int:
    """Bring open referrals to where they belong: held, promised, withdrawn, or paid.

    Answers how many promises were granted.
    """
    granted = 0
    with atomic():
        locked = people(friend_ids)
        if not locked:
            return 0
        book = points.open_book(locked, now=now)
        referrals = load(friend_ids)
        if not {each.inviter_id for each in referrals} <= set(book.accounts):
            raise Contended()  # somebody was merged meanwhile
        terms = rules.of_versions({each.rule_version for each in referrals})
        _screen(referrals, terms, now)
        referrals = load(friend_ids)  # a crowd is held together
        bought = _bought(referrals)
        for referral in referrals:
            before, own = asdict(referral), terms[referral.rule_version]
            _follow_purchase(referral, own, bought.get(referral.invitee_id, []))
            _promise(referral, own, bought.get(referral.invitee_id, []), now)
            granted += _pay(referral, before, own, book, now)
        book.write()
    return granted


def _screen(referrals: Sequence[Open], terms: Mapping[int, Terms], now: datetime) -> None:
    reasons = look(referrals, terms, now=now)
    for referral in referrals:
        before = asdict(referral)
        if reasons.get(referral.invitee_id):
            referral.hold(reasons[referral.invitee_id], now)
        save(referral, before)


def _bought(referrals: Sequence[Open]) -> dict[int, list[Any]]:
    """What friends have bought since they joined and kept, the earliest first."""
    since = {each.invitee_id: each.joined_at for each in referrals}
    left = (Purchase.amount_fen - Purchase.refunded_fen).label("left_fen")
    query = (
        sa.select(Purchase.id, Purchase.member_id, Purchase.created_at, left)
        .where(Purchase.member_id.in_(since), Purchase.undone_at.is_(None), left > 0)
        .order_by(Purchase.id)
    )
    found: dict[int, list[Any]] = {}
    with atomic() as transaction:
        for row in transaction.execute(query):
            if row.created_at >= since[row.member_id]:
                found.setdefault(row.member_id, []).append(row)
    return found


def _counting(referral: Open, terms: Terms, bought: Sequence[Any]) -> Any:
    """The purchase that qualifies a friend: the one that did, or the first that reaches the minimum."""
    least = terms.stages[PURCHASE].min_amount_fen
    enough = [row for row in bought if row.left_fen >= least]
    same = [row for row in enough if row.id == referral.purchase_id]
    return next(iter(same or enough), None)


def _follow_purchase(referral: Open, terms: Terms, bought: Sequence[Any]) -> None:
    """Qualify by a purchase, or by it no longer; what only it promised goes."""
    purchase = _counting(referral, terms, bought)
    now_by = purchase.id if purchase else None
    if now_by != referral.purchase_id or (purchase is None and referral.due_at):
        if referral.due_at and (referral.purchase_id or purchase is None):
            _withdraw(referral, PURCHASE)
        lost = purchase is None and referral.state == "qualified"
        referral.reason = "refunded" if lost else ""
        referral.purchase_id = now_by
        referral.state = "qualified" if purchase else "joined"
    if referral.is_held:
        for stage in (JOIN, PURCHASE):
            _withdraw(referral, stage)


def _withdraw(referral: Open, stage: str) -> None:
    """Take back a stage's promises; a friend who brings nothing any more is not counted either."""
    due = "join_due_at" if stage == JOIN else "due_at"
    if getattr(referral, due) is None:
        return
    pay.withdraw(referral, stage)
    setattr(referral, due, None)
    if not (referral.join_due_at or referral.join_paid_at or referral.due_at):
        referral.counted_on, referral.capped = None, ""


def _promise(referral: Open, terms: Terms, bought: Sequence[Any], now: datetime) -> None:
    if referral.is_held:
        return
    if terms.stages[JOIN] and not (referral.join_due_at or referral.join_paid_at):
        since = referral.joined_at
        referral.join_due_at = pay.promise(referral, JOIN, terms, since=since, now=now)
    purchase = _counting(referral, terms, bought)
    if purchase and not referral.due_at:
        since = purchase.created_at
        referral.due_at = pay.promise(referral, PURCHASE, terms, since=since, now=now)
    if referral.capped:
        referral.reason = f"capped_{referral.capped}"


def _pay(referral: Open, before: dict[str, Any], terms: Terms, book: Book, now: datetime) -> int:
    """Close what is due: grant and give it, and with the last of it the ladder's steps.

    Answers how many promises were granted.
    """
    given: list[bundles.Given] = []
    granted = 0
    done = _is_due(referral.due_at, now)
    if _is_due(referral.join_due_at, now) or (done and referral.join_due_at):
        given += pay.give(referral, JOIN, terms, book=book, now=now)
        granted += pay.grant(referral, JOIN, book=book, now=now)
        referral.join_paid_at, referral.join_due_at = now, None
        done = done or terms.ends_at_join
    if _is_due(referral.due_at, now):
        given += pay.give(referral, PURCHASE, terms, book=book, now=now)
        granted += pay.grant(referral, PURCHASE, book=book, now=now)
    if done:
        referral.state, referral.rewarded_at = "rewarded", now
    referral.points = pay.promised_points(referral, terms)
    save(referral, before)
    if done:
        given += pay.climb(referral, terms, book=book, now=now)
    if {each.state for each in given} & {bundles.SOLD_OUT, bundles.ABSENT}:
        before, referral.reason = asdict(referral), "gift_missing"
        save(referral, before)
    return granted


def _is_due(due_at: datetime | None, now: datetime) -> bool:
    return due_at is not None and due_at <= now


def reward_due(*, now: datetime) -> int:
    """Close referrals that are due, then grant all other promises that are; answers how many.

    In this order: a purchase that was refunded meanwhile takes its promise along.
    """
    last = granted = 0
    for _ in range(MAX_BATCHES):
        due = _due_after(last, now)
        if not due:
            break
        granted += _settle_apart(due, now)
        last = due[-1]
    return granted + len(points.activate_due(now=now))


def _due_after(last: int, now: datetime) -> list[int]:
    due = sa.or_(
        sa.and_(Referral.state == "qualified", Referral.due_at <= now),
        sa.and_(Referral.state.in_(OPEN), Referral.join_due_at <= now),
    )
    query = sa.select(Referral.invitee_id).where(due, Referral.invitee_id > last)
    with atomic() as transaction:
        found = transaction.execute(query.order_by(Referral.invitee_id).limit(SETTLED_AT_ONCE))
        return list(found.scalars())


def _settle_apart(friend_ids: Sequence[int], now: datetime) -> int:
    """All together; where one fails, each alone, so that it does not hold up the others."""
    try:
        return settle(friend_ids, now=now)
    except Exception as error:
        log.info("%s referrals are settled one at a time: %s", len(friend_ids), error)
    granted = 0
    for friend_id in friend_ids:
        try:
            granted += settle([friend_id], now=now)
        except Exception:
            log.exception("the referral of %s can't be settled", friend_id)
    return granted
