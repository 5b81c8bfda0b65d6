"""What a load balancer and a stranger ask: alive, ready, the document, the front door."""

from collections.abc import Iterator

import pytest
from flask import Flask
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import create_app
from blueprints import public
from models import db
from tests.conftest import settings_for
from tests.fakes import PNG, FakeWeChat


@pytest.fixture
def another(tmp_path, redis_url) -> Iterator:
    """Make the application on another database."""
    made: list[Flask] = []

    def make(database_url: str) -> Flask:
        app = create_app(settings_for(database_url, redis_url, tmp_path), wechat=FakeWeChat())
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def redis_away(app, monkeypatch) -> None:
    nobody = Redis(unix_socket_path="/nowhere", retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)


def ask(app: Flask, path: str):
    with app.test_client() as client:
        return client.get(path, buffered=True)


def test_it_is_ready_when_the_database_is_migrated(app):
    answer = ask(app, "/readyz")

    said = {name: answer.json[name] for name in ("status", "database", "redis")}

    assert answer.status_code == 200
    assert said == {"status": "ok", "database": "ok", "redis": "ok"}


def test_it_is_alive_but_not_ready_on_an_empty_database(another, tmp_path):
    app = another(f"sqlite:///{tmp_path}/empty.db")

    ready, alive = ask(app, "/readyz"), ask(app, "/livez")

    assert (ready.status_code, ready.json["database"]) == (503, "not migrated")
    assert (alive.status_code, alive.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "address",
    ["sqlite:////nowhere/at/all/mall.db", "postgresql+psycopg://mall@/postgres?host=/nowhere"],
)
def test_it_is_alive_but_not_ready_while_the_database_is_away(address, another):
    app = another(address)

    ready, alive = ask(app, "/readyz"), ask(app, "/livez")

    assert (ready.status_code, ready.json["database"]) == (503, "unreachable")
    assert ready.json["status"] == "unavailable"
    assert alive.status_code == 200


@pytest.mark.parametrize(
    "address",
    ["sqlite:////nowhere/at/all/mall.db", "postgresql+psycopg://mall@/postgres?host=/nowhere"],
)
def test_a_call_is_asked_to_come_back_while_the_database_is_away(address, another):
    app = another(address)

    with app.test_client() as client:
        headers = {"Authorization": "Bearer of-somebody"}
        answer = client.get("/api/v1/admin/members", headers=headers)

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert answer.content_type == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1


def test_without_redis_it_is_ready_and_says_so(app, redis_away):
    ready, alive = ask(app, "/readyz"), ask(app, "/livez")

    assert (ready.status_code, ready.json["status"]) == (200, "ok")
    assert ready.json["redis"] == "unreachable"
    assert alive.status_code == 200


@pytest.mark.covers("E3")
def test_without_redis_the_shop_goes_on(
    app, as_shopper, as_staff, a_reward, redeem, redis_away, grant_points
):
    shopper, clerk, reward = as_shopper("one"), as_staff("clerk-a"), a_reward(price_points=10)
    grant_points(shopper, 10)

    redeemed = redeem(shopper, reward)
    checked_in = [shopper.post("/me/checkins", key=None).status_code for _ in range(2)]
    used = clerk.post(f"/clerk/vouchers/{redeemed['voucher']['code']}/use")

    assert redeemed["balance_after"] == 0
    assert (checked_in, used.status_code) == ([201, 200], 200)
    stock = as_staff("admin").get(f"/admin/rewards/{reward.id}/stock").json
    assert (stock["gate"], stock["drift"]) == (
        {"state": "absent", "units_left": None, "leases": 0},
        None,
    )
    assert stock["units_left"] == 9


def test_without_redis_a_hot_reward_asks_to_come_back(as_shopper, a_reward, redis_away):
    shopper, reward = as_shopper("one"), a_reward(price_points=0, hot=True)

    answer = shopper.post("/me/redemptions", {"reward_id": reward.id, "quantity": 1})

    assert (answer.status_code, answer.json["code"]) == (503, "reward_busy")
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_docs_are_there_once_they_are_built(app, tmp_path, monkeypatch):
    monkeypatch.setattr(public, "STATIC", tmp_path)

    before = [ask(app, path) for path in ("/api/docs", "/api/docs/", "/api/docs/docs.js")]
    (tmp_path / "dist" / "docs").mkdir(parents=True)
    for name in ("index.html", "docs.js"):
        (tmp_path / "dist" / "docs" / name).write_text("the docs")
    after = [ask(app, path) for path in ("/api/docs", "/api/docs/", "/api/docs/docs.js")]

    assert [(answer.status_code, answer.json["code"]) for answer in before] == [
        (404, "not_found")
    ] * 3
    assert [(answer.status_code, answer.text) for answer in after] == [(200, "the docs")] * 3


@pytest.mark.parametrize(
    "path", ["/home/../app.py", "/home/%2e%2e/app.py", "/api/docs/../../app.py"]
)
def test_no_path_leads_out_of_the_static_folders(path, app):
    answer = ask(app, path)

    assert answer.status_code == 404
    assert "create_app" not in answer.text


@pytest.mark.covers("F1")
def test_the_picture_of_an_invitation_is_everybodys_and_drawn_once(as_shopper, anybody, wechat):
    url = as_shopper("inviter").get("/me/referral").json["wxacode_url"].removeprefix("/api/v1")

    answers = [anybody.get(url) for _ in range(2)]

    assert [(answer.status_code, answer.data) for answer in answers] == [(200, PNG)] * 2
    assert {answer.mimetype for answer in answers} == {"image/png"}
    assert len(wechat.drawn) == 1


def test_a_picture_that_is_nobodys_is_not_drawn(anybody, wechat):
    codes = ["22222222", "lowercas", "2222222O", "%00222222", "222222é2"]

    answers = [anybody.get(f"/wxacodes/{code}.png") for code in codes]

    assert [answer.status_code for answer in answers] == [404] * len(codes)
    assert wechat.drawn == []


def test_while_wechat_is_down_a_new_picture_waits_and_a_known_one_does_not(
    as_shopper, anybody, wechat
):
    one, two = (as_shopper(n).get("/me/referral").json["wxacode_url"][7:] for n in ("one", "two"))
    anybody.get(one)
    wechat.down = True

    known, new = anybody.get(one), anybody.get(two)

    assert known.status_code == 200
    assert (new.status_code, new.json["code"]) == (503, "wechat_unavailable")
    assert int(new.headers["Retry-After"]) >= 1
