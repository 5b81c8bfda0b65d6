"""Experiments X11, X13 and X14: one member's points under many hands, killed jobs and reversals."""

import random

import pytest

from mall import clock, points, redemptions, refunds
from mall.errors import MallError, NotEnoughPoints
from mall.idempotency import Answer, Replayed
from mall.points import writing
from mall.purchases import Receipt, record_receipts
from models import Account, LedgerEntry, Lot, Refund
from tests.makers import a_key
from tests.mall.books import (
    DAY,
    ask,
    balance,
    clerk,
    count,
    give,
    lots,
    one,
    rows,
    said,
    spend,
    wrong,
)
from tests.mall.model import ModelAccount
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


@pytest.mark.covers("E3", "C7")
def test_x11_of_64_parallel_spends_with_funds_for_ten_exactly_ten_are_granted(
    app, a_member, a_reward, now
):
    member, reward = a_member(points=100), a_reward(price_points=10, units=100).id

    answers = together(app, [lambda: redemptions.redeem(ask(member, reward), now=clock.now())] * 64)

    granted = [each for each in answers if isinstance(each, Answer)]
    refused = [each for each in answers if not isinstance(each, Answer)]
    assert all(isinstance(each, MallError) for each in refused), refused
    later = 0
    while balance(member):  # whoever was told to come back comes back
        redemptions.redeem(ask(member, reward), now=clock.now())
        later += 1
    with pytest.raises(NotEnoughPoints):
        redemptions.redeem(ask(member, reward), now=clock.now())
    assert len(granted) + later == 10 and wrong() == []


class Killed(BaseException):
    """The job's process is gone."""


@pytest.mark.covers("C7")
@pytest.mark.parametrize("seed", range(4))
def test_x13_an_expiry_job_killed_anywhere_and_run_again_expires_each_lot_once(
    a_member, now, monkeypatch, seed
):
    dice, people = random.Random(seed), [a_member() for _ in range(3)]
    models = {member: ModelAccount() for member in people}
    for number in range(24):
        member, amount = dice.choice(people), dice.randint(1, 50)
        expires_at = dice.choice([None, now + dice.randint(1, 6) * DAY])
        give(member, amount, f"g{number}", expires_at=expires_at, now=now)
        models[member].grant(f"g{number}", amount, expires_at)
        part = dice.randint(1, 30)
        if models[member].spend(part, now) is not None:
            spend(member, part, f"s{number}", now=now)
    for member in people:  # something is due in any case
        give(member, 5, f"due-{member}", expires_at=now + DAY, now=now)
        models[member].grant(f"due-{member}", 5, now + DAY)
    later = now + 4 * DAY
    steps = [writing.write_entries, writing.write_lots, writing.write_accounts]
    for step in dice.sample(steps, 2):
        with monkeypatch.context() as broken, pytest.raises(Killed):
            broken.setattr(writing, step.__name__, _killed)
            points.expire_due(now=later)
        assert wrong() == []

    while points.expire_due(now=later):
        pass

    for member, model in models.items():
        model.expire(later)
        assert [left for left, _ in lots(member)] == [lot.points for lot in model.lots]
    expired = rows(LedgerEntry.ref_id, where=[LedgerEntry.kind == "expire"])
    assert len(expired) == len(set(expired)) and wrong() == []


def _killed(*_: object) -> None:
    raise Killed


@pytest.mark.covers("C12")
def test_x14_a_half_spent_earn_is_reversed_once_and_the_rest_is_owed(a_member, hired, stores, now):
    member, who = a_member(), clerk(hired["clerk-a"])
    receipt = Receipt(stores["A"], "r-1", member, 10_000, now)
    (bought,) = record_receipts([receipt], now=now)
    spend(member, 50, "half", now=now)
    key = a_key(route="refund")

    first = refunds.refund(bought.id, 10_000, clerk=who, key=key, now=now)
    with pytest.raises(Replayed) as second:
        refunds.refund(bought.id, 10_000, clerk=who, key=key, now=now)

    assert second.value.answer.body == first.body and count(Refund) == 1
    assert (said(first)["points_taken"], said(first)["debt_points"]) == (50, 50)
    owed = one(Account.debt_points, Account.member_id == member)
    assert (balance(member), owed) == (0, 50)
    assert rows(Lot.points_left, where=[Lot.member_id == member]) == [(0,)] and wrong() == []
