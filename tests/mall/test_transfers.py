"""Transfers: points go from one member to another, keep their dates, and nothing is made or lost."""

import random

import pytest
import sqlalchemy as sa

from mall import clock, ledger, transfers
from mall.errors import (
    AccountFrozen,
    NotEnoughPoints,
    NotFound,
    TransferLimit,
    TransfersOff,
    TransferToSelf,
)
from models import Account, LedgerEntry, Member, Transfer
from tests.makers import a_key, grant
from tests.mall.books import (
    DAY,
    a_cause,
    balance,
    book_of,
    by_hand,
    count,
    give,
    lots,
    one,
    said,
    spend,
    wrong,
)
from tests.mall.together import together


@pytest.fixture
def now(app, tune):
    tune("transfer_points_per_day", 1000)
    return clock.now()


def card(member):
    return one(Member.card_no, Member.id == member)


def send(giver, taker, amount, now, key=None):
    asked = key or a_key(giver, route="transfer")
    return transfers.transfer(giver, card(taker), amount, key=asked, now=now)


def test_points_keep_the_dates_on_which_they_expire(a_member, now):
    giver, taker = a_member(), a_member()
    give(giver, 30, "short", expires_at=now + DAY, now=now)
    give(giver, 70, "long", expires_at=now + 9 * DAY, now=now)

    answer = said(send(giver, taker, 50, now))

    assert (answer["points"], answer["balance_after"]) == (50, 50)
    assert lots(taker) == [(30, now + DAY), (20, now + 9 * DAY)]
    assert (balance(giver), balance(taker)) == (50, 50) and wrong() == []


def test_what_the_taker_owes_is_paid_first(a_member, now):
    giver, taker = a_member(points=100), a_member()
    give(taker, 40, "bought", expires_at=now + DAY, now=now)
    spend(taker, 40, "spent", now=now)
    bought = one(LedgerEntry.id, LedgerEntry.ref_id == "bought")
    with book_of(taker) as book:
        book.take_back(taker, bought, 40, a_cause("back", "refund"), from_others=True)

    send(giver, taker, 50, now)

    assert balance(taker) == 10
    assert one(Account.debt_points, Account.member_id == taker) == 0 and wrong() == []


def test_it_is_off_unless_the_shop_allows_it(a_member, now, tune):
    giver, taker = a_member(points=100), a_member()
    tune("transfer_points_per_day", 0)

    with pytest.raises(TransfersOff):
        send(giver, taker, 1, now)

    assert count(Transfer) == 0


def test_a_day_has_its_limit_and_the_next_day_another(a_member, now, tune):
    giver, taker = a_member(points=500), a_member()
    tune("transfer_points_per_day", 100)
    send(giver, taker, 70, now)

    with pytest.raises(TransferLimit) as refusal:
        send(giver, taker, 31, now)
    send(giver, taker, 30, now)
    send(giver, taker, 100, now + DAY)

    assert refusal.value.details == {"limit": 100, "left": 30}
    assert balance(taker) == 200 and wrong() == []


def test_who_can_not_give_or_take_is_refused(a_member, now):
    giver, poor, frozen, closed = a_member(points=100), a_member(), a_member(points=9), a_member()
    for member, state in ((frozen, "frozen"), (closed, "closed")):
        by_hand(sa.update(Account).where(Account.member_id == member).values(state=state))

    cases = [
        (TransferToSelf, giver, giver),
        (NotEnoughPoints, poor, giver),
        (AccountFrozen, frozen, giver),
        (NotFound, giver, closed),
    ]

    for refusal, one_side, other in cases:
        with pytest.raises(refusal):
            send(one_side, other, 1, now)
    with pytest.raises(NotFound):
        transfers.transfer(giver, "880000000000", 1, key=a_key(giver), now=now)
    assert count(Transfer) == 0 and balance(giver) == 100


def test_who_can_not_spend_may_still_be_given_points(a_member, now):
    giver, frozen = a_member(points=100), a_member()
    by_hand(sa.update(Account).where(Account.member_id == frozen).values(state="frozen"))

    send(giver, frozen, 40, now)

    assert (balance(giver), balance(frozen)) == (60, 40) and wrong() == []


def test_x12_members_who_give_to_each_other_at_once_never_wait_in_a_ring(app, a_member, now):
    dice = random.Random(12)
    people = [a_member() for _ in range(6)]
    for member in people:
        grant(member, 300)
    pairs = [dice.sample(people, 2) for _ in range(60)]

    def give_some(giver, taker, amount):
        return lambda: send(giver, taker, amount, now)

    answers = []
    for start in range(0, len(pairs), 12):
        batch = pairs[start : start + 12]
        works = [give_some(*pair, dice.randint(1, 40)) for pair in batch]
        answers += together(app, works)

    failed = [each for each in answers if isinstance(each, Exception)]
    assert all(isinstance(each, NotEnoughPoints) for each in failed), failed
    assert sum(balance(member) for member in people) == 6 * 300
    assert sum(ledger.trial_balance().values()) == 0 and wrong() == []


def test_both_sides_entries_name_the_transfer(a_member, now):
    giver, taker = a_member(points=10), a_member()

    ref = str(said(send(giver, taker, 10, now))["id"])

    assert one(LedgerEntry.ref_id, LedgerEntry.kind == "transfer_out") == ref
    assert one(LedgerEntry.ref_id, LedgerEntry.kind == "transfer_in") == f"{ref}:1"
