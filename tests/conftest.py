"""The suite's ground: private servers, both databases, an emptied shop for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import upgrade

from app import create_app
from mall import clock, closed, shop, staff
from mall.guards.client import client as redis_client
from mall.staff import passwords
from models import Store, db
from models.base import insert
from tests import servers
from tests.caller import Caller, Contract
from tests.fakes import FakeWeChat

pytest_plugins = ["tests.copies", "tests.makers"]

PASSWORD = "a long password"
SECRET_KEYS = "k2:" + "b" * 32 + ",k1:" + "a" * 32
DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with servers.redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str | None]:
    with servers.postgresql_server() as url:
        yield url


@pytest.fixture(scope="session", params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Every test that touches the database runs on each."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/mall.db"
    url = request.getfixturevalue("postgresql")
    if url is None:
        pytest.skip("PostgreSQL's binaries are not on this machine")
    return url % "postgres"


def settings_for(database_url: str, redis_url: str, folder: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder),
        "SECRET_KEYS": SECRET_KEYS,
        "LOG_LEVEL": "error",
        "WEB_THREADS": "40",
    }


@pytest.fixture(scope="session")
def migrated(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Flask]:
    """The application on a database made by the migrations."""
    folder = tmp_path_factory.mktemp("data")
    app = create_app(settings_for(database_url, redis_url, folder), wechat=FakeWeChat())
    app.testing = True
    with app.app_context():
        upgrade()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(migrated: Flask) -> Iterator[Flask]:
    """The application with an empty shop, in its context."""
    with migrated.app_context():
        _empty(Path(migrated.config["DATA_DIR"]))
        redis_client().flushall()
        migrated.extensions.pop("gate_seqs", None)  # emptied on purpose: nothing went back in time
        closed.forget(looked=True)
        migrated.config["CLOCK_OFFSET_S"] = 0
        migrated.config["RATE_LIMITS"] = False
        migrated.extensions["wechat"].__init__()
        shop.open_shop(now=clock.now())
        yield migrated
        db.session.rollback()


def _empty(folder: Path) -> None:
    """Empty every table; the migrations themselves stay."""
    db.session.remove()
    if db.engine.dialect.name == "postgresql":
        _empty_postgresql()
        return
    file, template = Path(str(db.engine.url.database)), folder / "empty.db"
    db.engine.dispose()
    for journal in ("-wal", "-shm"):
        file.with_name(file.name + journal).unlink(missing_ok=True)
    if not template.exists():
        shutil.copyfile(file, template)
    shutil.copyfile(template, file)


def _empty_postgresql() -> None:
    """Delete past triggers and foreign keys: TRUNCATE makes every table's files anew, ten times slower."""
    tables = [f"DELETE FROM {table.name}" for table in db.metadata.sorted_tables]
    used = sa.text("SELECT sequencename FROM pg_sequences WHERE last_value IS NOT NULL")
    with db.engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("; ".join(tables)))
        for name in connection.execute(used).scalars().all():
            connection.execute(sa.text(f"ALTER SEQUENCE {name} RESTART"))


@pytest.fixture
def wechat(app: Flask) -> FakeWeChat:
    return app.extensions["wechat"]


@pytest.fixture(scope="session")
def contract(migrated: Flask) -> Contract:
    with migrated.test_client() as client:
        return Contract(client.get("/api/openapi.json").get_json())


@pytest.fixture
def anybody(app: Flask, contract: Contract) -> Caller:
    return Caller(app, contract)


@pytest.fixture
def stores(app: Flask) -> dict[str, int]:
    """Stores A and B, by code."""
    rows = [{"code": c, "name": f"{c}店", "address": "", "created_at": clock.now()} for c in "AB"]
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(insert(Store), rows)
    return {row.code: row.id for row in db.session.scalars(sa.select(Store))}


@pytest.fixture
def hired(stores: dict[str, int]) -> dict[str, int]:
    """Somebody in each role, by user name; passwords are all the same."""
    people: dict[str, Any] = {
        "clerk-a": ("clerk", stores["A"]),
        "clerk-b": ("clerk", stores["B"]),
        "manager-a": ("manager", stores["A"]),
        "admin": ("admin", None),
        "owner": ("owner", None),
        "analyst": ("analyst", None),
    }
    return {
        name: staff.hire(
            username=name, name=name, password=PASSWORD, role=role, store_id=at, now=clock.now()
        )
        for name, (role, at) in people.items()
    }


@pytest.fixture(scope="session", autouse=True)
def looking_when_told() -> None:
    """Tests count statements: none of them may be one that only the time brings about."""
    closed.LOOKED_EVERY_S = float("inf")


@pytest.fixture(scope="session", autouse=True)
def quick_hasher() -> Iterator[None]:
    """Argon2 with its smallest cost: the suite hires hundreds."""
    kept = passwords.hasher
    passwords.hasher = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield
    passwords.hasher = kept


@pytest.fixture
def as_staff(hired: dict[str, int], anybody: Caller):
    """Log in as somebody of the staff."""

    def log_in(username: str) -> Caller:
        body = {"username": username, "password": PASSWORD}
        token = anybody.post("/auth/staff", body, key=None).json["access_token"]
        return Caller(anybody.app, anybody.contract, token)

    return log_in


@pytest.fixture
def as_shopper(anybody: Caller):
    """Log in as a shopper, who joins the first time."""

    def log_in(name: str, **more: str) -> Caller:
        answer = anybody.post("/auth/wechat", {"code": f"user-{name}", **more}, key=None)
        caller = Caller(anybody.app, anybody.contract, answer.json["access_token"])
        caller.id = answer.json["member"]["id"]
        return caller

    return log_in
