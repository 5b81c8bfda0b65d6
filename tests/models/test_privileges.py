"""On PostgreSQL the shop's own role may not change what is only added to, triggers or none."""

import secrets

import psycopg
import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade
from sqlalchemy.exc import ProgrammingError

from app import create_app
from mall import clock, members, points, shop
from mall.atomic import atomic
from models import db
from tests.conftest import settings_for
from tests.fakes import FakeWeChat
from tests.mall.books import DAY, give, spend

TABLES = (
    "ledger_entries",
    "lot_uses",
    "growth_entries",
    "stock_moves",
    "store_moves",
    "audit_entries",
    "debt_entries",
    "refunds",
    "transfers",
    "tier_changes",
    "benefit_entries",
    "payment_returns",
    "consents",
)


@pytest.fixture
def plain_role(postgresql, redis_url, tmp_path):
    """The application as a role that owns its database and is no superuser."""
    if postgresql is None:
        pytest.skip("PostgreSQL's binaries are not on this machine")
    name = f"plain_{secrets.token_hex(4)}"
    with psycopg.connect(
        (postgresql % "postgres").replace("+psycopg", ""), autocommit=True
    ) as link:
        link.execute(f"CREATE ROLE {name} LOGIN")
        link.execute(f"CREATE DATABASE {name} OWNER {name}")
    address = sa.make_url(postgresql % name).set(username=name)
    url = address.render_as_string(hide_password=False)
    app = create_app(settings_for(url, redis_url, tmp_path), wechat=FakeWeChat())
    with app.app_context():
        upgrade()
        yield app
        db.session.remove()
        db.engine.dispose()


def refused(statement: str) -> str:
    db.session.rollback()
    with pytest.raises(ProgrammingError) as refusal, db.engine.begin() as connection:
        connection.execute(sa.text(statement))
    return str(refusal.value.orig)


@pytest.mark.parametrize("table", TABLES)
def test_the_role_that_runs_the_shop_can_not_change_what_is_only_added_to(plain_role, table):
    with db.engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    last = db.metadata.tables[table].columns.keys()[-1]

    tried = [
        f"UPDATE {table} SET {last} = NULL",
        f"DELETE FROM {table}",
        f"TRUNCATE {table} CASCADE",
    ]

    assert all("permission denied" in refused(each) for each in tried)


def test_the_shop_works_with_what_is_left_to_it(plain_role):
    now = clock.now()
    with atomic():
        shop.open_shop(now=now)
    joined = members.join_many([{"appid": "wx", "openid": "o"}], tier_code="base", now=now)
    (member,) = joined.values()
    give(member, 10, "first", expires_at=now + DAY, now=now)

    assert spend(member, 4, "then", now=now) == 6
    assert points.due_points(member, now=now + DAY) == 6


def test_going_down_gives_the_privileges_back(plain_role):
    downgrade(revision="0007")

    with db.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE ledger_entries DISABLE TRIGGER USER"))
        connection.execute(sa.text("DELETE FROM ledger_entries"))
