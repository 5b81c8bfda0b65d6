"""The ledger's own proof: whatever happens it holds, and whatever is spoilt it names."""

import random
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from mall import (
    adjustments,
    benefits,
    checkins,
    clock,
    ledger,
    points,
    purchases,
    redemptions,
    referrals,
    vouchers,
)
from mall.errors import MallError, NotEnoughPoints
from mall.ledger.checks import CHECKS
from mall.purchases import Receipt
from models import Account, Lot, Member, Redemption, Voucher, db
from tests.makers import a_key, points_last_months
from tests.mall.books import (
    DAY,
    a_cause,
    ask,
    balance,
    book_of,
    clerk,
    count,
    lots,
    rows,
    said,
    uses,
    wrong,
)
from tests.mall.test_checkin_proof import (
    test_the_proof_names_a_streak_or_a_milestone_that_was_spoilt as in_time,
)
from tests.mall.test_store_stock import test_the_proof_names_a_store_that_was_spoilt as in_stores

SEED = 20261122


# whatever happens


@dataclass
class Purse:
    """What a member's points should be: the ledger's rules in their plainest form."""

    lots: list[list] = field(default_factory=list)  # [points left, end] in the order made
    spent: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    expired: int = 0

    def grant(self, amount, end):
        self.lots.append([amount, end])

    def alive(self, now):
        return [lot for lot in self.lots if lot[1] is None or lot[1] > now]

    def expire(self, now):
        for lot in self.lots:
            if lot[1] is not None and lot[1] <= now:
                self.expired += lot[0]
                lot[0] = 0

    def spend(self, name, amount, now):
        if sum(lot[0] for lot in self.alive(now)) < amount:
            return False
        self.expire(now)
        in_turn = sorted(range(len(self.lots)), key=self._turn)
        took = []
        for index in in_turn:
            part = min(self.lots[index][0], amount)
            if part:
                self.lots[index][0] -= part
                amount -= part
                took.append((index, part))
        self.spent[name] = took
        return True

    def _turn(self, index):
        end = self.lots[index][1]
        return (end is None, end or datetime.min, index)

    def give_back(self, name, now, grace):
        self.expire(now)
        for index, part in self.spent.pop(name):
            lot = self.lots[index]
            lot[0] += part
            if lot[1] is not None and lot[1] <= now:
                lot[1] = now + grace

    def balance(self):
        return sum(lot[0] for lot in self.lots)


class Throw:
    """Throws what happens next to a member, in the ledger and in the purse that says how it should be."""

    def __init__(self, dice, purses, entry_of):
        self.dice, self.purses, self.entry_of = dice, purses, entry_of

    def __call__(self, book, member, name):
        purse, kinds = self.purses[member], ["grant", "grant", "spend", "spend", "expire"]
        kind = self.dice.choice(kinds + ["give_back"] * bool(purse.spent))
        getattr(self, kind)(book, member, name, purse)

    def grant(self, book, member, name, purse):
        amount = self.dice.randint(1, 500)
        end = self.dice.choice([None, book.now + timedelta(hours=self.dice.randint(1, 400))])
        book.grant(member, amount, a_cause(name), expires_at=end)
        purse.grant(amount, end)

    def spend(self, book, member, name, purse):
        amount = self.dice.randint(1, 400)
        try:
            book.spend(member, amount, a_cause(name, "redeem"))
            granted = True
        except NotEnoughPoints:
            granted = False
        assert purse.spend(name, amount, book.now) == granted

    def expire(self, book, member, name, purse):
        book.expire_due(member)
        purse.expire(book.now)

    def give_back(self, book, member, name, purse):
        spent = self.dice.choice(sorted(purse.spent))
        cause = a_cause(f"back-{spent}", "cancel")
        book.give_back(member, self.entry_of(spent), cause, grace=7 * DAY)
        purse.give_back(spent, book.now, 7 * DAY)


def entry_of(name):
    query = "SELECT id FROM ledger_entries WHERE kind = 'redeem' AND ref_id = :name"
    return db.session.connection().scalar(sa.text(query), {"name": name})


@pytest.mark.covers("C7")
def test_ten_thousand_random_changes_leave_every_lot_where_it_should_be(a_member):
    """PEERS 31: not only the sums but each lot, taken first-expiring first, agrees with a plain model."""
    dice, now = random.Random(SEED), clock.now()
    purses = {a_member(): Purse() for _ in range(40)}
    throw = Throw(dice, purses, entry_of)

    for turn in range(250):
        now += timedelta(hours=dice.randint(0, 12))
        with book_of(*purses, now=now) as book:
            for member in purses:
                throw(book, member, f"{member}-{turn}")

    for member, purse in purses.items():
        assert [list(lot) for lot in lots(member)] == purse.lots
        assert balance(member) == purse.balance()
    assert sum(amount for _, amount in uses("expire")) == sum(p.expired for p in purses.values())
    assert wrong() == []


class Shoppers:
    """Members of a shop who do what shoppers do, by the mall's own verbs."""

    def __init__(self, dice, members, rewards, hired, store):
        self.dice, self.members, self.rewards = dice, members, rewards
        self.hired, self.store, self.trades, self.serial = hired, store, [], 0

    def act(self, now):
        self.serial += 1
        member = self.dice.choice(self.members)
        verbs = [self.buys, self.trades_points, self.trades_points, self.takes_back, self.signs_in]
        verb = self.dice.choice([*verbs, self.is_adjusted, self.fetches, self.loses_what_is_due])
        try:
            verb(member, now)
        except MallError:
            return False
        return True

    def buys(self, member, now):
        receipt = Receipt(
            self.store, f"r-{self.serial}", member, self.dice.randint(100, 90_000), now
        )
        purchases.record_one(receipt, key=a_key(), now=now)

    def trades_points(self, member, now):
        reward, quantity = self.dice.choice(self.rewards), self.dice.randint(1, 3)
        answer = redemptions.redeem(ask(member, reward, quantity), now=now)
        self.trades.append((member, said(answer)["id"]))

    def takes_back(self, _member, now):
        if self.trades:
            member, trade = self.dice.choice(self.trades)
            redemptions.cancel(member, trade, key=a_key(member), now=now)

    def signs_in(self, member, now):
        checkins.check_in(member, key=a_key(member), now=now)

    def is_adjusted(self, member, now):
        change = {"points": self.dice.choice([-300, -20, 150]), "reason": "核对", "note": ""}
        admin = self.hired["admin"]
        adjustments.adjust(member, change, staff_id=admin, key=a_key(), now=now)

    def fetches(self, _member, now):
        if self.trades:
            _, trade = self.dice.choice(self.trades)
            ((voucher_id,),) = rows(Voucher.id, where=[Voucher.redemption_id == trade])
            code = vouchers.code_of(db.session.get(Voucher, voucher_id))
            vouchers.use(code, clerk=clerk(self.hired["clerk-a"]), key=a_key(), now=now)

    def loses_what_is_due(self, _member, now):
        points.expire_due(now=now)


@pytest.mark.covers("C7", "E3")
def test_three_hundred_things_that_shoppers_do_leave_nothing_amiss(
    a_member, a_reward, hired, stores
):
    dice, now = random.Random(SEED), clock.now()
    points_last_months(1)
    rewards = [
        a_reward(price_points=price, units=40, per_member_limit=limit, voucher_lasts_days=60).id
        for price, limit in ((40, None), (150, 6), (0, 3))
    ]
    shoppers = Shoppers(dice, [a_member() for _ in range(5)], rewards, hired, stores["A"])

    done = 0
    for _ in range(300):
        now += timedelta(hours=dice.randint(0, 9))
        done += shoppers.act(now)

    assert 150 < done < 300, "some must be granted and some refused"
    assert count(Redemption, Redemption.state == "cancelled") > 3
    assert count(Voucher, Voucher.state == "used") > 3
    assert uses("expire"), "some points must have died"
    assert wrong() == []


# whatever is spoilt


@pytest.fixture
def busy_shop(a_member, a_reward, hired, stores):
    """A shop with a row of every kind that the proof reads."""
    now = clock.now()
    member, friend = a_member(points=1000), a_member(points=10)
    reward = a_reward(price_points=100, units=10, per_member_limit=5).id
    receipt = Receipt(stores["A"], "r-1", member, 50_000, now)
    purchases.record_one(receipt, key=a_key(), now=now)
    for _ in range(2):
        redemptions.redeem(ask(member, reward), now=now)
    inviter = db.session.get_one(Member, friend).invite_code
    referrals.bind(member, inviter, now=now)
    referrals.settle([member], now=now)
    trial = benefits.Quota("trial", "试用", 2, "month")
    benefits.grant_many([benefits.Grant(member, trial, "test:1")], now=now)
    assert wrong() == []
    return member


SPOILABLE = ("ledger_entries", "lot_uses", "growth_entries", "stock_moves")


@contextmanager
def unprotected():
    """A transaction without the database's own protection, undone at the end."""
    db.session.rollback()
    sqlite = db.engine.dialect.name == "sqlite"
    if sqlite:
        db.session.execute(sa.text("PRAGMA ignore_check_constraints = ON"))
        for table in SPOILABLE:
            db.session.execute(sa.text(f"DROP TRIGGER {table}_no_update"))
    else:
        for table in SPOILABLE:
            db.session.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        db.session.execute(sa.text("ALTER TABLE rewards DROP CONSTRAINT ck_rewards_units_add_up"))
    try:
        yield
    finally:
        if sqlite:
            db.session.execute(sa.text("PRAGMA ignore_check_constraints = OFF"))
        db.session.rollback()


LAST_GRANT = "(SELECT max(id) FROM ledger_entries WHERE kind = 'purchase')"
LAST_OF_MEMBER = "seq = (SELECT entries FROM accounts a WHERE a.member_id = e.member_id)"
OWING = (
    "INSERT INTO debt_entries (id, member_id, kind, delta_points, debt_after_points, ref_kind,"
    " ref_id, actor, created_at) SELECT 1, member_id, 'refund', 1, 1, 'test', '1', 'system',"
    " '2000-01-01 00:00:00+00:00' FROM accounts WHERE balance_points > 100 LIMIT 1;"
    "UPDATE accounts SET debt_points = 1 WHERE member_id IN (SELECT member_id FROM debt_entries)"
)
PAID = (
    "INSERT INTO payment_rules (version, active, rate_points, rate_fen, min_bill_fen, max_percent,"
    " step_points, note, published_at) VALUES (1, true, 100, 100, 0, 30, 100, '',"
    " '2000-01-01 00:00:00+00:00');"
    "INSERT INTO points_payments (id, store_id, receipt_no, member_id, bill_fen, points, paid_fen,"
    " rule_version, returned_points, staff_id, created_at) SELECT 1, s.id, 'R', a.member_id, 500, 100,"
    " 100, 1, 1, p.id, '2000-01-01 00:00:00+00:00' FROM stores s, accounts a, staff p LIMIT 1"
)
FIRST_TRADE = "(SELECT min(id) FROM redemptions)"


@pytest.mark.parametrize(
    ("checks", "how"),
    [
        (
            {"balance_is_sum_of_entries"},
            "UPDATE ledger_entries AS e SET delta_points = delta_points + 1,"
            f" balance_after_points = balance_after_points + 1 WHERE {LAST_OF_MEMBER}"
            " AND delta_points > 0",
        ),
        ({"balance_is_sum_of_lots"}, "UPDATE lots SET points_left = points_left - 1"),
        (
            {"balance_is_sum_of_entries", "balance_is_sum_of_lots"},
            "UPDATE accounts SET balance_points = balance_points + 1",
        ),
        (
            {"entries_are_counted_without_a_gap"},
            "UPDATE accounts SET entries = entries + 1 WHERE balance_points > 100",
        ),
        (
            {"entries_are_counted_without_a_gap"},
            f"UPDATE ledger_entries AS e SET seq = seq + 1 WHERE {LAST_OF_MEMBER}",
        ),
        (
            {"each_entry_follows_from_the_one_before"},
            f"UPDATE ledger_entries SET balance_after_points = 7 WHERE id = {LAST_GRANT}",
        ),
        (
            {"pending_is_sum_of_promises"},
            "UPDATE accounts SET pending_points = pending_points + 1",
        ),
        (
            {"pending_is_sum_of_promises"},
            "UPDATE pending_grants SET state = 'voided'",
        ),
        ({"held_is_sum_of_holds"}, "UPDATE accounts SET held_points = 1"),
        ({"debt_is_sum_of_debt_entries"}, "UPDATE accounts SET debt_points = 1"),
        ({"nobody_owes_and_has_points"}, OWING),
        ({"refunds_are_what_receipts_lost"}, "UPDATE purchases SET refunded_fen = 1"),
        ({"payments_gave_back_what_lots_got"}, PAID),
        ({"growth_is_sum_of_growth_entries"}, "UPDATE accounts SET growth_value = 499"),
        (
            {"growth_is_sum_of_growth_entries", "each_growth_follows_from_the_one_before"},
            "UPDATE growth_entries SET delta_value = delta_value + 1",
        ),
        (
            {"each_growth_follows_from_the_one_before"},
            "UPDATE growth_entries SET value_after = 7",
        ),
        ({"benefits_are_sum_of_their_entries"}, "UPDATE benefits SET uses_left = uses_left - 1"),
        ({"spending_is_remembered_by_lot"}, "UPDATE lot_uses SET points = points + 1"),
        ({"stock_is_moves"}, "UPDATE stock_moves SET quantity = quantity + 1"),
        (
            {"promised_units_are_live_redemptions"},
            "UPDATE rewards SET units_promised = units_promised - 1",
        ),
        ({"stocked_is_left_and_live"}, "UPDATE rewards SET units_left = units_left - 1"),
        (
            {"promised_units_are_live_redemptions", "stocked_is_left_and_live"},
            "UPDATE rewards SET units_left = units_left + 1, units_promised = units_promised - 1",
        ),
        ({"limits_are_live_redemptions"}, "UPDATE limit_counters SET quantity = quantity - 1"),
        ({"limits_are_live_redemptions"}, "DELETE FROM limit_counters"),
        (
            {"vouchers_agree_with_redemptions"},
            f"UPDATE vouchers SET state = 'void' WHERE redemption_id = {FIRST_TRADE}",
        ),
        (
            {"vouchers_agree_with_redemptions"},
            f"UPDATE redemptions SET state = 'used' WHERE id = {FIRST_TRADE}",
        ),
        (
            {
                "limits_are_live_redemptions",
                "promised_units_are_live_redemptions",
                "stocked_is_left_and_live",
                "vouchers_agree_with_redemptions",
            },
            f"UPDATE redemptions SET state = 'cancelled' WHERE id = {FIRST_TRADE}",
        ),
    ],
    ids=lambda given: given[:70] if isinstance(given, str) else "",
)
def test_the_proof_names_exactly_what_was_spoilt(busy_shop, checks, how):
    with unprotected():
        changed = [db.session.execute(sa.text(each)).rowcount for each in how.split(";")]
        found = {each["check"] for each in ledger.verify()["mismatches"]}

    assert all(changed)
    assert found == checks
    assert wrong() == []


def test_a_mismatch_says_whose_and_both_figures(busy_shop):
    with unprotected():
        spoil = sa.text("UPDATE accounts SET growth_value = 499 WHERE member_id = :member")
        db.session.execute(spoil, {"member": busy_shop})
        found = ledger.verify()["mismatches"]

    assert found == [
        {
            "check": "growth_is_sum_of_growth_entries",
            "subject": "account",
            "id": busy_shop,
            "expected": "500",
            "actual": "499",
        }
    ]


def test_the_proof_says_how_much_it_read(busy_shop):
    assert ledger.verify()["checked"] == {
        "accounts": count(Account),
        "entries": 5,
        "lots": count(Lot),
        "rewards": 1,
        "redemptions": 2,
        "vouchers": 2,
        "checkins": 0,
    }


def test_every_check_has_been_spoilt_above():
    (cases,) = test_the_proof_names_exactly_what_was_spoilt.pytestmark
    spoilt = {name for checks, _ in cases.args[1] for name in checks}

    for elsewhere in (in_time, in_stores):  # each in a file of its own
        (more,) = (mark for mark in elsewhere.pytestmark if mark.name == "parametrize")
        spoilt |= {name for checks, _ in more.args[1] for name in checks}
    assert spoilt == {check.__name__ for _, check in CHECKS}
