"""Migrations: up, down and up again on both databases, and what they make is what the models say."""

import secrets
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_migrate import downgrade, upgrade

from app import MIGRATIONS, create_app
from models import db
from tests.conftest import DATABASES, settings_for
from tests.fakes import FakeWeChat

REVISIONS = [each.revision for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]


@pytest.fixture(params=DATABASES)
def a_database(request, tmp_path, redis_url):
    """Make an application on a database of its own, without a table in it."""
    apps = []

    def make():
        name = f"fresh_{secrets.token_hex(4)}"
        if request.param == "sqlite":
            address = f"sqlite:///{tmp_path}/{name}.db"
        else:
            server = request.getfixturevalue("postgresql")
            plain = (server % "postgres").replace("+psycopg", "")
            with psycopg.connect(plain, autocommit=True) as link:
                link.execute(f"CREATE DATABASE {name}")
            address = server % name
        app = create_app(settings_for(address, redis_url, tmp_path), wechat=FakeWeChat())
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def fresh(a_database):
    app = a_database()
    with app.app_context():
        yield app


def tables():
    return set(sa.inspect(db.engine).get_table_names()) - {"alembic_version"}


def triggers():
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT DISTINCT trigger_name FROM information_schema.triggers",
    }[db.engine.dialect.name]
    with db.engine.connect() as connection:
        return set(connection.execute(sa.text(query)).scalars())


def revision():
    with db.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def test_all_migrations_go_up_down_and_up_again(fresh):
    upgrade()
    made, guarded = tables(), triggers()
    assert made == {table.name for table in db.metadata.sorted_tables}
    assert len(guarded) == (41 if db.engine.dialect.name == "sqlite" else 28)

    downgrade(revision="base")
    assert (tables(), triggers(), revision()) == (set(), set(), None)

    upgrade()
    assert (tables(), triggers(), revision()) == (made, guarded, REVISIONS[-1])


def test_each_migration_undoes_exactly_what_it_did(fresh):
    seen = [(tables(), triggers())]
    for step in REVISIONS:
        upgrade(revision=step)
        assert revision() == step
        seen.append((tables(), triggers()))

    for before in reversed(seen[:-1]):
        downgrade(revision="-1")
        assert (tables(), triggers()) == before


def test_going_up_twice_changes_nothing(fresh):
    upgrade()
    upgrade()

    assert revision() == REVISIONS[-1]


def test_the_models_are_what_the_migrations_made(fresh):
    upgrade()

    with db.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, db.metadata) == []


def shape():
    """All that the database says of its tables, the conditions of its checks and indexes too."""
    seen = sa.inspect(db.engine)

    def of(table):
        columns = [
            (each["name"], str(each["type"]), each["nullable"], each["default"])
            for each in seen.get_columns(table)
        ]
        foreign = [
            (each["name"], each["constrained_columns"], each["referred_table"])
            for each in seen.get_foreign_keys(table)
        ]
        unique = [
            (each["name"], each["column_names"]) for each in seen.get_unique_constraints(table)
        ]
        checks = [(each["name"], each["sqltext"]) for each in seen.get_check_constraints(table)]
        indexes = [
            (
                each["name"],
                each["column_names"],
                each["unique"],
                sorted((name, str(value)) for name, value in each["dialect_options"].items()),
            )
            for each in seen.get_indexes(table)
        ]
        parts = {"columns": columns, "foreign": foreign, "unique": unique, "checks": checks}
        found = {name: sorted(part, key=repr) for name, part in parts.items()}
        return {**found, "indexes": sorted(indexes, key=repr), "key": seen.get_pk_constraint(table)}

    return {table: of(table) for table in sorted(tables())}


def test_a_migrated_database_is_one_made_from_the_models_check_by_check(a_database):
    with a_database().app_context():
        upgrade()
        migrated = shape()
    with a_database().app_context():
        db.create_all()
        made = shape()

    assert migrated == made
    assert sum(len(table["checks"]) for table in made.values()) > 30


def test_migrations_follow_one_another_and_each_tells_its_story():
    scripts = ScriptDirectory(str(MIGRATIONS))

    assert len(scripts.get_heads()) == 1
    assert REVISIONS == [f"{number:04}" for number in range(1, len(REVISIONS) + 1)]
    for path in Path(MIGRATIONS, "versions").glob("*.py"):
        story = path.read_text().split('"""')[1]
        assert len(story.splitlines()) >= 3, f"{path.name} tells no story"


def test_migrations_import_nothing_of_ours_that_may_change():
    for path in Path(MIGRATIONS, "versions").glob("*.py"):
        for word in ("models", "mall", "blueprints"):
            assert f"import {word}" not in path.read_text()
            assert f"from {word}" not in path.read_text()
