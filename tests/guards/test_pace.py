"""How fast somebody may ask."""

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mall.errors import TooMany
from mall.guards import pace
from mall.guards.client import client
from mall.guards.pace import Pace

SLOW = Pace("slow", burst=3, every_ms=1000)


@pytest.fixture(autouse=True)
def limits_on(app):
    pace.forget()
    app.config["RATE_LIMITS"] = True


def test_a_burst_passes_and_the_next_waits():
    for _ in range(3):
        pace.check("member:1", SLOW)

    with pytest.raises(TooMany) as refusal:
        pace.check("member:1", SLOW)

    assert refusal.value.retry_after_s == 1


def test_one_callers_haste_is_not_anothers():
    for _ in range(3):
        pace.check("member:1", SLOW)

    pace.check("member:2", SLOW)

    assert client().exists("pace:slow:member:1", "pace:slow:member:2") == 2


def test_room_comes_back_with_time():
    for _ in range(3):
        pace.check("member:1", SLOW)
    due_ms = int(client().get("pace:slow:member:1"))
    client().set("pace:slow:member:1", due_ms - 1000)  # a second goes by

    pace.check("member:1", SLOW)

    with pytest.raises(TooMany):
        pace.check("member:1", SLOW)


@pytest.fixture
def no_redis(app, monkeypatch):
    nobody = Redis(unix_socket_path="/nowhere", retry=Retry(NoBackoff(), 0))
    monkeypatch.setitem(app.extensions, "redis", nobody)


@pytest.mark.parametrize(("workers", "passing"), [(1, 3), (2, 3), (3, 2), (6, 1), (24, 1)])
def test_x31_without_redis_each_process_counts_its_share_of_twice_the_limit(
    app, no_redis, monkeypatch, workers, passing
):
    monkeypatch.setitem(app.config, "WEB_WORKERS", workers)

    for _ in range(passing):
        pace.check("member:1", SLOW)

    with pytest.raises(TooMany):
        pace.check("member:1", SLOW)
    pace.check("member:2", SLOW)


def test_x31_without_redis_room_comes_back_with_time(app, no_redis, monkeypatch):
    moment = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: moment[0])
    for _ in range(3):
        pace.check("member:1", SLOW)
    moment[0] += 1.0

    pace.check("member:1", SLOW)

    with pytest.raises(TooMany):
        pace.check("member:1", SLOW)


def test_without_redis_a_process_remembers_no_more_than_so_many(app, no_redis, monkeypatch):
    monkeypatch.setattr(pace, "MOST_SUBJECTS", 5)

    for n in range(50):
        pace.check(f"member:{n}", SLOW)

    assert len(pace._local._due_ms) == 5


def test_rate_limits_off_lifts_them(app):
    app.config["RATE_LIMITS"] = False

    assert [pace.check("member:1", SLOW) for _ in range(5)] == [None] * 5


def test_a_caller_who_is_too_fast_is_told_when_to_come_back(app, as_shopper, monkeypatch):
    monkeypatch.setattr(pace, "MEMBER", SLOW)
    shopper = as_shopper("hasty")

    answers = [shopper.get("/me") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json["code"] == "too_many_requests"
    assert answers[-1].headers["Retry-After"] == "1"


def test_x31_what_is_left_is_told_in_the_headers_of_the_draft(app, as_shopper, monkeypatch):
    monkeypatch.setattr(pace, "MEMBER", Pace("member", burst=3, every_ms=1000))
    shopper = as_shopper("hasty")

    answers = [shopper.get("/me") for _ in range(4)]

    assert {each.headers["RateLimit-Policy"] for each in answers} == {'"member";q=3;w=3'}
    told = [each.headers["RateLimit"] for each in answers]
    assert told == [f'"member";r={r};t={t}' for r, t in ((2, 1), (1, 2), (0, 3), (0, 1))]


def test_x31_a_route_may_have_a_limit_of_its_own(app, as_shopper):
    shopper = as_shopper("collector")

    answers = [shopper.post("/me/phone", {"code": f"phone-1380000000{n}"}) for n in range(6)]

    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert '"phone";q=5;w=3000' in answers[-1].headers["RateLimit-Policy"]
    assert shopper.get("/me").status_code == 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("10.0.0.1", "10.0.0.2", False),
        (None, None, True),
    ],
)
def test_an_address_stands_for_its_customers_network(one, other, same):
    assert (pace.of_address(one) == pace.of_address(other)) is same


def test_x31_a_header_that_claims_another_address_is_believed_for_so_many_hops_only(
    app, anybody, monkeypatch
):
    """Nobody in front: the header is anybody's word."""
    monkeypatch.setattr(pace, "LOG_IN", Pace("address", burst=2, every_ms=60_000))

    answers = [
        anybody.post(
            "/auth/staff",
            {"username": "x", "password": "x"},
            key=None,
            headers={"X-Forwarded-For": f"203.0.113.{n}"},
        ).status_code
        for n in range(3)
    ]

    assert answers == [401, 401, 429]
