"""The ledger against a model of it: whatever happens in whatever order, both say the same."""

import itertools
import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from mall import clock, holds, ledger, members, points, transfers
from mall.errors import NotEnoughPoints
from models import Account, LedgerEntry, Lot, Member, db
from tests.makers import a_key
from tests.mall.books import a_cause, book_of, one, rows, said
from tests.mall.model import ModelAccount

MEMBERS = 2
LONG = "LEDGER_MODEL_EXAMPLES" in os.environ  # random then, and a failure is made small
EXAMPLES = int(os.environ.get("LEDGER_MODEL_EXAMPLES", "15"))
PHASES = (Phase.generate, Phase.shrink) if LONG else (Phase.generate,)
_names = itertools.count(1)
who = st.integers(0, MEMBERS - 1)
amounts = st.integers(1, 60)
lives = st.one_of(st.none(), st.integers(1, 20))


class LedgerMachine(RuleBasedStateMachine):
    """Two members to whom everything happens that can happen to points."""

    def __init__(self) -> None:
        super().__init__()
        self.now = clock.now()
        people = [{"appid": "model", "openid": f"o{next(_names)}"} for _ in range(MEMBERS)]
        self.ids = list(members.join_many(people, tier_code="base", now=self.now).values())
        self.model = [ModelAccount() for _ in self.ids]
        self.spends: list = []  # (who, entry, what the model took)
        self.holds: list = []  # (who, id, amount, what the model took)
        self.grants: list = []  # (who, name, entry, amount)

    @rule(at=who, amount=amounts, lasts_days=lives)
    def grant(self, at, amount, lasts_days):
        name = f"m{next(_names)}"
        expires_at = None if lasts_days is None else self.now + timedelta(days=lasts_days)
        with book_of(self.ids[at], now=self.now) as book:
            book.grant(self.ids[at], amount, a_cause(name, "purchase"), expires_at=expires_at)
        self.model[at].grant(name, amount, expires_at)
        self.grants.append((at, name, self._entry("purchase", name), amount))

    @rule(at=who, amount=amounts)
    def spend(self, at, amount):
        name, taken = f"m{next(_names)}", self.model[at].spend(amount, self.now)
        try:
            with book_of(self.ids[at], now=self.now) as book:
                book.spend(self.ids[at], amount, a_cause(name, "redeem"))
        except NotEnoughPoints:
            assert taken is None
            return
        assert taken is not None
        self.spends.append((at, self._entry("redeem", name), taken))

    @precondition(lambda self: self.spends)
    @rule(data=st.data())
    def cancel(self, data):
        at, entry, taken = self._draw(data, self.spends)
        with book_of(self.ids[at], now=self.now) as book:
            cause = a_cause(f"m{next(_names)}", "cancel")
            book.give_back(self.ids[at], entry, cause, grace=timedelta(days=7))
        self.model[at].give_back(taken, self.now)

    @precondition(lambda self: self.grants)
    @rule(data=st.data(), part=st.integers(1, 60))
    def take_back(self, data, part):
        at, name, entry, amount = self._draw(data, self.grants)
        part = min(part, amount)
        with book_of(self.ids[at], now=self.now) as book:
            cause = a_cause(f"m{next(_names)}", "refund")
            book.take_back(self.ids[at], entry, part, cause, from_others=True)
        self.model[at].take_back(name, part, self.now)

    @rule(at=who, amount=amounts)
    def hold(self, at, amount):
        taken = self.model[at].spend(amount, self.now)
        how = {"reason": "x", "actor": "system", "lasts": timedelta(days=90)}
        try:
            key = a_key(self.ids[at], route="hold")
            made = said(holds.hold(self.ids[at], amount, **how, key=key, now=self.now))
        except NotEnoughPoints:
            assert taken is None
            return
        assert taken is not None
        self.model[at].held += amount
        self.holds.append((at, made["id"], amount, taken))

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), void=st.booleans())
    def end_hold(self, data, void):
        at, hold_id, amount, taken = self._draw(data, self.holds)
        how = holds.void if void else holds.post
        how(hold_id, actor="system", key=a_key(route="end"), now=self.now)
        self.model[at].held -= amount
        if void:
            self.model[at].give_back(taken, self.now)

    @rule(giver=who, amount=amounts)
    def transfer(self, giver, amount):
        taker = 1 - giver
        card = one(Member.card_no, Member.id == self.ids[taker])
        taken = self.model[giver].spend(amount, self.now)
        key = a_key(self.ids[giver], route="transfer")
        try:
            transfers.transfer(self.ids[giver], card, amount, key=key, now=self.now)
        except NotEnoughPoints:
            assert taken is None
            return
        assert taken is not None
        for lot, part in taken:
            self.model[taker].grant(f"m{next(_names)}", part, lot.expires_at)

    @rule(days=st.integers(1, 6))
    def days_pass(self, days):
        self.now += timedelta(days=days)

    @rule()
    def expiry_runs(self):
        while points.expire_due(now=self.now):
            pass
        for account in self.model:
            account.expire(self.now)

    @invariant()
    def both_say_the_same(self):
        for member, account in zip(self.ids, self.model, strict=True):
            columns = (Account.balance_points, Account.held_points, Account.debt_points)
            ((balance, held, debt),) = rows(*columns, where=[Account.member_id == member])
            real = rows(
                Lot.points_left, Lot.expires_at, where=[Lot.member_id == member], order=Lot.id
            )
            assert (balance, held, debt) == (account.balance, account.held, account.debt)
            assert real == [(lot.points, lot.expires_at) for lot in account.lots]

    def teardown(self):
        assert ledger.verify()["mismatches"] == []
        assert sum(ledger.trial_balance().values()) == 0
        db.session.rollback()

    def _draw(self, data, kept):
        return kept.pop(data.draw(st.integers(0, len(kept) - 1)))

    def _entry(self, kind, name):
        return one(LedgerEntry.id, LedgerEntry.kind == kind, LedgerEntry.ref_id == name)


@pytest.mark.covers("C7", "C12")
def test_whatever_happens_the_ledger_says_what_the_model_says(app, tune):
    tune("transfer_points_per_day", 10**6)
    run(
        LedgerMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=40,
            deadline=None,
            derandomize=not LONG,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
