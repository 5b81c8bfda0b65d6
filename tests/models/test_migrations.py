"""Migrations, up and down, on both databases."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade

from app import create_app
from models import db
from tests.conftest import settings_for
from tests.fakes import FakeWeChat


@pytest.fixture
def empty(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Flask]:
    """The application on a database in which nothing is."""
    url = f"sqlite:///{tmp_path}/empty.db"
    if database_url.startswith("postgresql"):
        name = f"empty_{secrets.token_hex(4)}"
        with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name}")
        url = database_url.replace("/postgres?", f"/{name}?")
    app = create_app(settings_for(url, redis_url, tmp_path), wechat=FakeWeChat())
    with app.app_context():
        yield app
        db.engine.dispose()


def tables() -> set[str]:
    return set(sa.inspect(db.engine).get_table_names()) - {"alembic_version"}


def test_they_go_up_and_all_the_way_down_again(empty: Flask):
    upgrade()
    up = tables()
    downgrade(revision="base")
    down = tables()
    upgrade()

    assert up == tables() == {table.name for table in db.metadata.sorted_tables}
    assert down == set()


def test_each_goes_down_and_up_by_itself(empty: Flask):
    upgrade()

    for revision in ("0005", "0004", "0003", "0002", "0001"):
        downgrade(revision=revision)
        upgrade(revision="+1")
        downgrade(revision=revision)

    assert "members" in tables() and "accounts" not in tables()


def test_they_make_what_the_models_say(empty: Flask):
    upgrade()

    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


@pytest.mark.covers("C7")
@pytest.mark.parametrize("table", ["ledger_entries", "lot_uses", "growth_entries", "stock_moves"])
def test_they_bar_changes_to_what_is_only_added_to(empty: Flask, table: str):
    upgrade()

    if db.engine.dialect.name == "postgresql":
        query = f"SELECT count(*) FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND NOT tgisinternal"
    else:
        query = (
            f"SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"
        )

    with db.engine.connect() as connection:
        assert connection.scalar(sa.text(query)) == 2
