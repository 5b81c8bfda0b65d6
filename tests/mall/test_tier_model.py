"""Growth and tiers against a model of them: whatever is bought and refunded, both say the same."""

import random

import pytest

from models import Account
from tests.mall.books import rows, wrong
from tests.mall.tier_books import changes, day, days, shop

__all__ = ["shop"]
JAN = day("2027-01-10")
VISIT = 30
OPERATIONS = 40
LADDER = (("base", 0), ("silver", 1000), ("gold", 5000), ("diamond", 20_000))


class ModelMember:
    """Receipts in memory: what each has left, and the day it was paid."""

    def __init__(self) -> None:
        self.receipts: dict[int, list[int]] = {}  # id: yuan, yuan left, day

    @property
    def growth(self) -> int:
        visits = {at for _, left, at in self.receipts.values() if left}
        return sum(left for _, left, _ in self.receipts.values()) + VISIT * len(visits)

    @property
    def tier(self) -> str:
        return [code for code, least in LADDER if least <= self.growth][-1]


@pytest.mark.covers("B3", "B4")
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_bought_and_refunded_growth_and_tier_are_the_models(a_member, shop, seed):
    chance = random.Random(seed)
    shop.rules(at=JAN, growth_per_visit=VISIT)
    members = {a_member(): ModelMember() for _ in range(2)}

    for step in range(OPERATIONS):
        member, model = chance.choice(list(members.items()))
        live = [id_ for id_, (_, left, _) in model.receipts.items() if left]
        at = JAN + days(step // 4)
        if live and chance.random() < 0.45:
            id_ = chance.choice(live)
            back = chance.choice(
                [model.receipts[id_][1], chance.randint(1, model.receipts[id_][1])]
            )
            shop.refund(id_, back, at=at)
            model.receipts[id_][1] -= back
        else:
            yuan = chance.choice([1, 99, 700, 1000, 4500, 16_000])
            model.receipts[shop.buy(member, yuan, at=at)] = [yuan, yuan, step // 4]
        assert said_of(member) == (model.growth, model.tier)

    for member, model in members.items():
        for id_, (_, left, _) in model.receipts.items():
            if left:
                shop.refund(id_, left, at=JAN + days(30))
        assert said_of(member) == (0, "base")
        last = changes(member)[-1:]
        assert not last or last[0][1] == "base"
    assert wrong() == []


def said_of(member: int) -> tuple[int, str]:
    ((growth, tier),) = rows(
        Account.growth_value, Account.tier_code, where=[Account.member_id == member]
    )
    return growth, tier
