"""The columns that all share, and what keeps SQLite as safe as PostgreSQL."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, StatementError

from models import Account, Store
from models.base import Base, table_of
from tests.mall.books import by_hand, count, one

SHANGHAI = timezone(timedelta(hours=8))


def a_store(created_at, code="A"):
    by_hand(sa.insert(Store).values(code=code, name="x", address="", created_at=created_at))


def test_a_moment_comes_back_as_it_went_in_whatever_its_zone(app):
    moment = datetime(2027, 3, 1, 0, 0, 0, 123456, tzinfo=SHANGHAI)
    a_store(moment)

    found = one(Store.created_at)

    assert found == moment and found.tzinfo is not None


def test_moments_of_different_zones_are_compared_by_the_moment(app):
    moment = datetime(2027, 3, 1, 0, 0, tzinfo=SHANGHAI)
    a_store(moment)

    earlier = (moment - timedelta(microseconds=1)).astimezone(UTC)
    assert count(Store, Store.created_at > earlier) == 1
    assert count(Store, Store.created_at <= earlier) == 0
    assert count(Store, Store.created_at == moment.astimezone(UTC)) == 1


def test_a_moment_without_a_zone_is_a_bug(app):
    with pytest.raises((AssertionError, StatementError)):
        a_store(datetime(2027, 3, 1))

    assert count(Store) == 0


def test_what_belongs_to_nobody_can_not_be_written(app):
    row = {"member_id": 404, "tier_code": "base", "state": "open", "balance_points": 0}
    rest = {"pending_points": 0, "entries": 0, "growth_value": 0}

    with pytest.raises(IntegrityError):
        by_hand(sa.insert(Account).values(**row, **rest))


def test_numbers_larger_than_32_bits_are_kept(a_member):
    a_member()
    by_hand(sa.update(Account).values(balance_points=10**12, growth_value=2**40))

    assert (one(Account.balance_points), one(Account.growth_value)) == (10**12, 2**40)


def test_sqlite_loses_nothing_with_the_power_and_waits_for_its_one_writer(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/fresh.db")
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "recursive_triggers")

    with engine.connect() as connection:
        asked = [connection.execute(sa.text(f"PRAGMA {name}")).scalar() for name in names]
    engine.dispose()

    assert asked == ["wal", 2, 1, 8000, 1]


def test_every_table_says_what_it_is_and_names_its_rules(app):
    for mapper in Base.registry.mappers:
        model = mapper.class_
        assert model.__doc__ and model.__doc__.strip().endswith("."), model
        for constraint in table_of(model).constraints:
            assert constraint.name, f"{model.__name__} has a rule without a name"
