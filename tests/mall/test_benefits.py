"""Benefits that are used up: granted by the period, used under condition, undone exactly."""

import pytest
import sqlalchemy as sa

from mall import benefits, tiers
from mall.atomic import atomic
from mall.errors import BenefitExpired, BenefitUsedUp, BenefitUseKnown, MemberClosed, NotFound
from mall.tiers import Quota
from models import Account, Benefit, BenefitEntry
from tests.makers import a_key
from tests.mall.books import MOMENT, by_hand, clerk, count, rows, said, wrong
from tests.mall.tier_books import day, days, shop
from tests.mall.together import together

__all__ = ["shop"]
JAN = day("2027-01-10")
FEB = day("2027-02-01", 0)
TRIAL = {"code": "trial", "name": "新品试用", "uses": 2, "period": "month"}


@pytest.fixture
def till(shop, hired):
    """A shop whose silver members have two trials a month, with its till."""
    offer(shop, "silver", TRIAL)
    shop.by = {name: hired[name] for name in ("clerk-a", "clerk-b")}
    return shop


def offer(shop, code, *quotas):
    version = tiers.perks.find(code)["version"]
    values = {"quotas": list(quotas)}
    tiers.perks.change(code, values, version=version, staff_id=shop.admin, now=JAN)


@pytest.fixture
def silver(a_member, till):
    member = a_member()
    till.buy(member, 1000, at=JAN)
    return member


def use(till, member, *, at=JAN, by="clerk-a", key=None, code="trial"):
    who = {"clerk": clerk(till.by[by]), "key": key or a_key(route="use")}
    return said(benefits.use(code, member, **who, now=at))


def undo(till, use_id, *, at=JAN, by="clerk-a"):
    who = {"clerk": clerk(till.by[by]), "key": a_key(route="undo")}
    return said(benefits.undo(use_id, **who, now=at))


def left(member, at=JAN):
    return [(each["code"], each["uses_left"]) for each in benefits.usable(member, now=at)]


def ledger_of(member):
    entry = BenefitEntry
    columns = (entry.kind, entry.delta_uses, entry.uses_left_after)
    return rows(*columns, where=[entry.member_id == member], order=entry.id)


@pytest.mark.covers("B7", "B11")
def test_a_quota_is_used_up_and_starts_anew_with_the_month(till, silver):
    use(till, silver)
    used = use(till, silver, at=FEB - MOMENT)

    with pytest.raises(BenefitUsedUp) as refusal:
        use(till, silver, at=FEB - MOMENT)

    assert used["benefit"]["uses_left"] == 0
    assert refusal.value.details["opens_at"] == "2027-02-01T00:00:00+08:00"
    assert left(silver, FEB - MOMENT) == [("trial", 0)] and left(silver, FEB) == [("trial", 2)]
    assert use(till, silver, at=FEB)["benefit"]["period"] == "2027-02" and wrong() == []


@pytest.mark.covers("B11")
def test_each_use_is_a_row_that_says_where_by_whom_and_when(till, silver):
    used = use(till, silver)["use"]

    assert used | {"id": 0} == {
        "id": 0,
        "member_id": silver,
        "code": "trial",
        "name": "新品试用",
        "used_at": "2027-01-10T12:00:00+08:00",
        "store": "A店",
        "used_by": "clerk-a",
        "undone_at": None,
    }
    assert benefits.show_use(used["id"], clerk=clerk(till.by["clerk-a"])) == used
    assert ledger_of(silver) == [("granted", 2, 2), ("used", -1, 1)]


@pytest.mark.covers("B11")
def test_a_use_is_undone_once_and_can_then_be_used_again(till, silver):
    first = use(till, silver)["use"]["id"]
    use(till, silver)

    assert undo(till, first)["undone_at"] == "2027-01-10T12:00:00+08:00"
    with pytest.raises(BenefitUseKnown):
        undo(till, first)

    assert left(silver) == [("trial", 1)]
    use(till, silver)
    assert ledger_of(silver)[-2:] == [("undone", 1, 1), ("used", -1, 0)] and wrong() == []


def test_another_store_neither_sees_nor_undoes_a_use(till, silver):
    used = use(till, silver)["use"]["id"]

    with pytest.raises(NotFound):
        undo(till, used, by="clerk-b")
    with pytest.raises(NotFound):
        benefits.show_use(used, clerk=clerk(till.by["clerk-b"]))
    with pytest.raises(NotFound):
        undo(till, 404)

    assert left(silver) == [("trial", 1)]


def test_a_use_of_a_period_that_is_over_stays(till, silver):
    used = use(till, silver)["use"]["id"]

    with pytest.raises(BenefitExpired):
        undo(till, used, at=FEB)

    assert undo(till, used, at=FEB - MOMENT)["id"] == used


@pytest.mark.covers("B11")
def test_what_is_left_of_a_period_expires_once(till, silver):
    use(till, silver)

    assert benefits.expire_due(now=FEB - MOMENT) == 0
    assert [benefits.expire_due(now=FEB) for _ in range(2)] == [1, 0]

    assert ledger_of(silver) == [("granted", 2, 2), ("used", -1, 1), ("expired", -1, 0)]
    assert rows(Benefit.uses_granted, Benefit.uses_left) == [(2, 0)] and wrong() == []


def test_the_last_use_goes_to_one_of_many_who_ask_at_once(app, till, silver):
    use(till, silver)

    outcomes = together(app, [lambda: use(till, silver)] * 6)

    assert sorted(type(each).__name__ for each in outcomes) == ["BenefitUsedUp"] * 5 + ["dict"]
    assert left(silver) == [("trial", 0)] and wrong() == []


def test_many_who_look_at_once_are_granted_once(app, till, silver):
    together(app, [lambda: benefits.usable(silver, now=JAN)] * 6)

    assert ledger_of(silver) == [("granted", 2, 2)]


@pytest.mark.covers("B11")
def test_who_rises_has_what_the_higher_tier_gives_beyond_it(till, silver):
    offer(till, "gold", {**TRIAL, "uses": 5}, {**TRIAL, "code": "lounge", "period": "day"})
    use(till, silver)

    till.buy(silver, 4000, at=JAN)

    assert left(silver) == [("lounge", 2), ("trial", 4)]
    assert left(silver, JAN + days(1)) == [("lounge", 2), ("trial", 4)], "a new day's, a month's"


def test_who_falls_keeps_what_the_period_gave_and_no_more(till, silver):
    left(silver)
    by_hand(sa.update(Account).values(tier_code="base"))

    assert left(silver) == [("trial", 2)] and left(silver, FEB) == []
    with pytest.raises(NotFound):  # though a use of January is left, and no job has run
        use(till, silver, at=FEB)


def test_a_benefit_that_is_nobodys_or_of_nobody_is_not_there(till, silver, a_member):
    for refusal, member, code in (
        (NotFound, silver, "lounge"),
        (NotFound, a_member(), "trial"),
        (NotFound, 404, "trial"),
    ):
        with pytest.raises(refusal):
            use(till, member, code=code)
    by_hand(sa.update(Account).values(state="closed"))
    with pytest.raises(MemberClosed):
        use(till, silver)
    assert count(BenefitEntry, BenefitEntry.kind == "used") == 0


def test_uses_from_elsewhere_come_beside_those_of_the_tier_once(till, silver):
    grant = benefits.Grant(silver, Quota("trial", "新品试用", 3, "month"), "bundle:1")

    with atomic():
        given = [benefits.grant_many([grant], now=JAN) for _ in range(2)]

    assert given == [3, 0] and left(silver) == [("trial", 5)]


@pytest.mark.parametrize(
    ("period", "name", "ends"),
    [
        ("day", "2027-01-10", day("2027-01-11", 0)),
        ("month", "2027-01", FEB),
        ("year", "2027", day("2028-01-01", 0)),
        ("ever", "ever", None),
    ],
)
def test_a_period_is_the_shops_own(app, period, name, ends):
    assert benefits.period_of(period, JAN) == (name, ends)
