"""Alarms: what does not add up stops the spending of its account, is seen, and waits for a person."""

import pytest
import sqlalchemy as sa

from mall import clock, ledger, metrics
from mall.errors import AccountFrozen, NotFound, StillWrong
from mall.ledger import alarms
from models import Account, Alarm, BalanceSettlement, LedgerEntry, Lot
from tests.makers import a_key, grant
from tests.mall.books import by_hand, count, one, rows, spend, wrong


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

    alarms._raise(found, now)

    assert count(Alarm) == 0 and state(spoilt) == "open"


@pytest.mark.covers("C7")
def test_however_many_are_wrong_each_is_named_and_frozen(a_member, now, monkeypatch):
    monkeypatch.setattr(alarms, "RAISED_AT_ONCE", 20)
    members = [a_member(points=1) for _ in range(130)]
    by_hand(sa.update(Account).values(balance_points=2))

    proof = ledger.prove(now=now)

    named = {each["id"] for each in proof["mismatches"]}
    assert named == set(members) and len(proof["mismatches"]) == 2 * 130
    assert set(rows(Account.state)) == {("frozen",)}
    assert count(Alarm) == metrics.tallies()["ledger_mismatches"] == 2 * 130


# an account that earned while its balance was wrong


@pytest.fixture
def earned_while_wrong(a_member, now):
    """Somebody whose balance was five too high while points came in, and was mended by hand."""
    member = a_member(points=10)
    change(member, +5)
    ledger.prove(now=now)
    grant(member, 3)
    return member


def change(member, points):
    account = sa.update(Account).where(Account.member_id == member)
    by_hand(account.values(balance_points=Account.balance_points + points))


def clear_all(hired, now):
    for (alarm_id,) in rows(Alarm.id, where=[Alarm.cleared_at.is_(None)]):
        clear(alarm_id, hired, now)


@pytest.mark.covers("C7")
def test_it_goes_on_from_the_balance_that_was_proved_right(earned_while_wrong, hired, now):
    member = earned_while_wrong
    change(member, -5)
    ledger.prove(now=now)

    clear_all(hired, now)

    assert state(member) == "open" and wrong() == []
    assert spend(member, 4, "after") == 9
    assert wrong() == [] and one(LedgerEntry.balance_after_points, LedgerEntry.seq == 3) == 9


def test_its_entries_are_no_new_alarm_where_they_were_not_looked_at_before(
    earned_while_wrong, hired, now
):
    change(earned_while_wrong, -5)

    clear_all(hired, now)
    ledger.prove(now=now)

    assert state(earned_while_wrong) == "open" and wrong() == []


def test_nothing_is_settled_while_the_balance_is_wrong(earned_while_wrong, hired, now):
    ledger.prove(now=now)

    for (alarm_id,) in rows(Alarm.id):
        with pytest.raises(StillWrong):
            clear(alarm_id, hired, now)

    assert count(BalanceSettlement) == 0 and count(Alarm) == 3


def test_what_is_wrong_after_it_was_settled_is_named_again(earned_while_wrong, hired, now):
    member = earned_while_wrong
    change(member, -5)
    clear_all(hired, now)

    change(member, +1)
    grant(member, 1)

    assert "each_entry_follows_from_the_one_before" in {each["check"] for each in wrong()}


def test_an_alarm_of_something_else_settles_no_balance(spoilt, hired, now):
    ledger.prove(now=now)
    by_hand(sa.update(Account).where(Account.member_id == spoilt).values(held_points=0))

    clear_all(hired, now)

    assert count(BalanceSettlement) == 0


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
