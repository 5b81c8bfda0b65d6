"""Early access is judged again under the account's lock: the tier may have gone meanwhile."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, tiers
from mall.errors import NotOpenYet
from mall.redemptions.door import enter_many
from mall.redemptions.redeem import commit_many
from models import Account
from tests.mall.books import ask, by_hand, trades


@pytest.mark.covers("B8")
def test_who_lost_the_tier_between_the_door_and_the_till_waits_like_others(
    a_member, a_shelf, hired
):
    member, now = a_member(points=9), clock.now()
    values = {"early_access_hours": 2}
    tiers.perks.change("gold", values, version=0, staff_id=hired["admin"], now=now)
    by_hand(sa.update(Account).values(tier_code="gold"))
    reward = a_shelf(opens_at=now + timedelta(hours=1))
    (ticket,) = enter_many([ask(member, reward)], now=now)

    by_hand(sa.update(Account).values(tier_code="base"))
    (outcome,) = commit_many([ticket], now=now)

    assert isinstance(outcome, NotOpenYet) and trades() == 0
