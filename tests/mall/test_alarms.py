"""Alarms: what does not add up stops the spending of its account, is seen, and waits for a person."""

import pytest
import sqlalchemy as sa

from mall import clock, ledger, metrics
from mall.errors import AccountFrozen, NotFound, StillWrong
from mall.ledger import alarms
from models import Account, Alarm, LedgerEntry, Lot
from tests.makers import a_key, grant
from tests.mall.books import by_hand, count, one, rows, spend


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def spoilt(a_member):
    """Somebody with ten points of whom the account says eleven."""
    member, _ = a_member(points=10), a_member(points=10)
    by_hand(sa.update(Account).where(Account.member_id == member).values(held_points=1))
    return member


def state(member):
    return one(Account.state, Account.member_id == member)


def clear(alarm_id, hired, now):
    who = hired["admin"]
    return ledger.clear(alarm_id, note="已核对", staff_id=who, key=a_key(route="clear"), now=now)


@pytest.mark.covers("C7")
def test_a_mismatch_freezes_the_spending_of_its_account_alone(spoilt, now):
    ledger.prove(now=now)

    with pytest.raises(AccountFrozen):
        spend(spoilt, 1, "refused")

    states = rows(Account.state, where=[Account.member_id != spoilt])
    assert state(spoilt) == "frozen" and set(states) == {("open",)}
    grant(spoilt, 5)  # what it earns meanwhile is not lost


@pytest.mark.covers("C7")
def test_it_raises_an_alarm_that_is_seen_from_outside(app, spoilt, now):
    ledger.prove(now=now)

    with app.test_client() as client:
        lines = client.get("/metrics").text.splitlines()

    assert "mall_ledger_alarms 1.0" in lines and "mall_ledger_mismatches_total 1.0" in lines
    columns = (Alarm.check_name, Alarm.subject, Alarm.subject_id, Alarm.expected, Alarm.actual)
    assert rows(*columns) == [("held_is_sum_of_holds", "account", spoilt, "0", "1")]


def test_the_same_mismatch_is_one_alarm_while_it_is_open(spoilt, now):
    for _ in range(3):
        ledger.prove(now=now)

    assert count(Alarm) == 1 and metrics.tallies()["ledger_mismatches"] == 1


def test_nothing_is_mended_by_itself(spoilt, now):
    ledger.prove(now=now)

    assert one(Account.held_points, Account.member_id == spoilt) == 1
    assert [each["id"] for each in ledger.verify()["mismatches"]] == [spoilt]


def test_an_alarm_stays_until_the_books_add_up(spoilt, hired, now):
    ledger.prove(now=now)

    with pytest.raises(StillWrong):
        clear(one(Alarm.id), hired, now)

    assert state(spoilt) == "frozen" and one(Alarm.cleared_at) is None


def test_the_last_alarm_cleared_thaws_the_account(spoilt, hired, now):
    by_hand(sa.update(Account).where(Account.member_id == spoilt).values(pending_points=3))
    ledger.prove(now=now)
    first, second = [id_ for (id_,) in rows(Alarm.id, order=Alarm.id)]
    mended = {"held_points": 0, "pending_points": 0}
    by_hand(sa.update(Account).where(Account.member_id == spoilt).values(**mended))

    clear(first, hired, now)
    between = state(spoilt)
    clear(second, hired, now)

    assert (between, state(spoilt)) == ("frozen", "open")
    assert spend(spoilt, 1, "granted") == 9
    assert set(rows(Alarm.cleared_by, Alarm.note)) == {(hired["admin"], "已核对")}


def test_a_closed_account_is_not_opened_by_clearing(spoilt, hired, now):
    by_hand(sa.update(Account).where(Account.member_id == spoilt).values(state="closed"))
    ledger.prove(now=now)
    by_hand(sa.update(Account).where(Account.member_id == spoilt).values(held_points=0))

    clear(one(Alarm.id), hired, now)

    assert state(spoilt) == "closed"


def test_an_entry_that_is_wrong_freezes_its_member(a_member, now):
    member = a_member(points=10)
    lot = sa.update(Lot).where(Lot.member_id == member).values(points_left=9)
    by_hand(lot)

    ledger.prove(now=now)

    assert state(member) == "frozen"
    assert {name for (name,) in rows(Alarm.check_name)} == {"balance_is_sum_of_lots"}


def test_a_mismatch_that_is_gone_when_looked_at_again_is_none(spoilt, now):
    found = ledger.verify()["mismatches"]
    by_hand(sa.update(Account).values(held_points=0))

    alarms._raise(found[0], now)

    assert count(Alarm) == 0 and state(spoilt) == "open"


def test_nobodys_alarm_is_not_found(hired, now):
    with pytest.raises(NotFound):
        clear(1, hired, now)


@pytest.mark.covers("C7")
def test_all_accounts_of_the_double_entry_view_add_up_to_nothing(a_member, now):
    member = a_member(points=10)
    spend(member, 4, "trade")

    totals = ledger.trial_balance()

    assert (totals["adjustment"], totals["redemption"], totals["members"]) == (-10, 4, 6)
    assert sum(totals.values()) == 0


def test_every_kind_of_entry_goes_through_some_account(a_member):
    a_member(points=10)
    by_hand(sa.update(Account).values(balance_points=11))

    assert sum(ledger.trial_balance().values()) == 1
    assert {kind for (kind,) in rows(LedgerEntry.kind)} == {"adjust"}
