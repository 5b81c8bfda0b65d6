"""Referrals: one referrer for life, one level only, paid when the friend really buys."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import members, points, shop
from mall.atomic import atomic
from mall.events import Fact, Purchased
from mall.points import Cause, Promise
from models import Member, Referral
from models.base import insert

RULE = "邀请有礼"


def bind(invitee_id: int, invite_code: str, *, now: datetime) -> bool:
    """Note who brought a newcomer. A code that is nobody's, or one's own, brings nothing."""
    inviter_id = members.holder(Member.invite_code == invite_code.strip().upper())
    if inviter_id is None or inviter_id == invitee_id:
        return False
    row = {"invitee_id": invitee_id, "inviter_id": inviter_id, "state": "joined", "reason": ""}
    with atomic() as transaction:
        statement = insert(Referral).values(**row, points=0, joined_at=now)
        bound = transaction.execute(
            statement.on_conflict_do_nothing().returning(Referral.invitee_id)
        ).scalar()
    return bound is not None


def concerned(facts: Iterable[Fact]) -> set[int]:
    """Whose accounts `qualify` will lock for some facts; whoever tells many locks them sorted."""
    buyers = {fact.member_id for fact in facts if isinstance(fact, Purchased)}
    query = sa.select(Referral.invitee_id, Referral.inviter_id).where(
        Referral.invitee_id.in_(buyers), Referral.state == "joined"
    )
    with atomic() as transaction:
        return {member for row in transaction.execute(query) for member in row}


def qualify(fact: Fact, *, now: datetime) -> None:
    """A friend's first purchase: promise both their points until the hold is over."""
    assert isinstance(fact, Purchased)
    inviter_points: int = shop.setting("referral_inviter_points")
    invitee_points: int = shop.setting("referral_invitee_points")
    due_at = now + timedelta(days=shop.setting("referral_hold_days"))
    with atomic() as transaction:
        found = sa.select(Referral.inviter_id).where(
            Referral.invitee_id == fact.member_id, Referral.state == "joined"
        )
        inviter_id = transaction.execute(found).scalar()
        if inviter_id is None:
            return
        points.open_book([inviter_id, fact.member_id], now=now)
        qualified = transaction.execute(
            sa.update(Referral)
            .where(Referral.invitee_id == fact.member_id, Referral.state == "joined")
            .values(state="qualified", points=inviter_points, due_at=due_at)
        )
        if qualified.rowcount == 0:
            return
        ref = str(fact.member_id)
        promises = [
            _promise(inviter_id, inviter_points, "referral", ref, due_at),
            _promise(fact.member_id, invitee_points, "referral_welcome", ref, due_at),
        ]
        points.promise_many([each for each in promises if each.points], now=now)


def _promise(member_id: int, amount: int, kind: str, ref: str, due_at: datetime) -> Promise:
    setting = "referral_inviter_points" if kind == "referral" else "referral_invitee_points"
    version = shop.version_of(setting)
    cause = Cause(kind, "referral", ref, "system", rule=RULE, rule_version=version)
    return Promise(member_id, amount, cause, due_at)


def reward_due(*, now: datetime) -> int:
    """Grant promised points whose hold is over and close their referrals; answers how many."""
    with atomic() as transaction:
        granted = points.activate_due(now=now)
        friends = {int(grant.ref_id) for grant in granted if grant.ref_kind == "referral"}
        if friends:
            transaction.execute(
                sa.update(Referral)
                .where(Referral.invitee_id.in_(friends), Referral.state == "qualified")
                .values(state="rewarded", rewarded_at=now)
            )
    return len(granted)
