"""A small town for the tests of referrals: people join, buy, return, and the worker does its rounds."""

import itertools
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import channels, clock, login, purchases, reactions, referrals, refunds, undo
from mall.purchases import Receipt
from mall.refunds import Asked
from mall.wechat import Identity
from models import Account, Bundle, LedgerEntry, Member, Referral, TillAction
from tests.makers import a_key
from tests.mall.books import by_hand, clerk, one, rows, said

_names = itertools.count(1)
KINDS = ("referral", "referral_welcome", "referral_join", "referral_join_welcome", "referral_step")


class Town:
    """What happens at `now`, which moves only when it is told to."""

    def __init__(self, stores, hired):
        self.store, self.hired, self.now = stores["A"], hired, clock.now()

    def later(self, **time):
        self.now += timedelta(**time)

    def log_in(self, name=None, *, by=None, **more):
        """Log in, and join the first time, by somebody's code; answers what is told."""
        who = Identity("wxtown", f"o-{name or next(_names)}", None)
        if by is not None:
            more["invite_code"] = code_of(by)
        return said(login.log_in(who, key=a_key(None, None), now=self.now, **more))

    def join(self, name=None, **more):
        """A newcomer's id, once the worker has heard of them."""
        member = self.log_in(name, **more)["member"]["id"]
        self.work()
        return member

    def buy(self, member, amount_fen=10_000):
        receipt = Receipt(
            *(self.store, f"t-{next(_names)}", member, amount_fen, self.now),
            staff_id=self.hired["clerk-a"],
        )
        (made,) = purchases.record_receipts([receipt], now=self.now)
        self.work()
        return made.id

    def refund(self, purchase, amount_fen=None):
        how = {"clerk": clerk(self.hired["clerk-a"]), "key": a_key(route="refund")}
        done = refunds.refund(purchase, Asked(amount_fen), **how, now=self.now)
        self.work()
        return said(done)["id"]

    def undo(self, kind, ref_id):
        where = [TillAction.kind == kind, TillAction.ref_id == ref_id]
        ((action,),) = rows(TillAction.id, where=where)
        how = {"staff": clerk(self.hired["manager-a"]), "key": a_key(route="undo")}
        undo.undo(action, "录错了", **how, now=self.now)
        self.work()

    def review(self, friend, *, approved):
        how = {"approved": approved, "reason": "看过了", "staff_id": self.hired["admin"]}
        key = a_key(route="review")
        return said(referrals.review(friend, **how, key=key, now=self.now))

    def work(self):
        """What the worker does every second."""
        while reactions.drain(now=self.now):
            pass
        while referrals.reward_due(now=self.now):
            pass

    def channel(self, code, kind="online", **more):
        values = {"code": code, "name": code, "kind": kind, "cost_fen": 0, "owner": ""}
        values |= {"store_id": None, "bundle_code": "", "starts_on": None, "ends_on": None}
        key = a_key(route="channels")
        channels.open_channel({**values, **more}, staff_id=None, key=key, now=self.now)

    def scan(self, code, *visitors):
        return channels.scan(code, visitors, key=a_key(None, None), now=self.now)

    def touch(self, inviter, *visitors):
        return referrals.touch(code_of(inviter), visitors, key=a_key(None, None), now=self.now)


@pytest.fixture
def town(app, stores, hired):
    return Town(stores, hired)


def code_of(member):
    return one(Member.invite_code, Member.id == member)


def state(friend):
    """(state, reason, reasons it is held for) of a friend's referral."""
    columns = (Referral.state, Referral.reason, Referral.holds, Referral.held_at)
    found = rows(*columns, Referral.reviewed_at, where=[Referral.invitee_id == friend])
    if not found:
        return None
    ((name, reason, holds, held_at, reviewed_at),) = found
    return ("held" if held_at and not reviewed_at else name), reason, holds


def paid(member):
    """Points that invitations have brought somebody."""
    total = sa.func.coalesce(sa.func.sum(LedgerEntry.delta_points), 0)
    return int(one(total, LedgerEntry.member_id == member, LedgerEntry.kind.in_(KINDS)))


def pending(member):
    return one(Account.pending_points, Account.member_id == member)


def a_bundle(code, now, **parts):
    values = {"points": 0, "growth_value": 0, "rewards": [], "benefits": [], **parts}
    row = {"code": code, "version": 1, "name": code, "published_at": now}
    by_hand(sa.insert(Bundle).values(**row, **values))
