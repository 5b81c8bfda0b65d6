"""Staff log in, at a till or in the console."""

import pytest

from tests.conftest import PASSWORD


def log_in(anybody, username: str, password: str = PASSWORD, **more: str):
    body = {"username": username, "password": password, **more}
    return anybody.post("/auth/staff", body, key=None)


def refused(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("K4", "K9")
def test_everybody_is_told_their_role_and_who_stands_at_a_till_their_store(anybody, hired, stores):
    people = ["clerk-a", "clerk-b", "manager-a", "admin", "owner", "analyst"]

    sessions = [log_in(anybody, name).json for name in people]

    assert all(set(s) == {"access_token", "expires_in_s", "role", "store"} for s in sessions)
    assert [s["role"] for s in sessions] == [
        "clerk",
        "clerk",
        "manager",
        "admin",
        "owner",
        "analyst",
    ]
    a, b = ({"id": stores[c], "code": c, "name": f"{c}店"} for c in "AB")
    assert [s["store"] for s in sessions] == [a, b, a, None, None, None]
    assert {s["expires_in_s"] for s in sessions} == {12 * 3600}


def test_a_second_factor_nobody_enrolled_is_not_asked_for(anybody, hired):
    answers = [log_in(anybody, "admin"), log_in(anybody, "admin", otp="123456")]

    assert [answer.status_code for answer in answers] == [200, 200]


def test_a_wrong_password_and_an_unknown_name_are_refused_alike(anybody, hired):
    answers = [
        log_in(anybody, "admin", "wrong"),
        log_in(anybody, "nobody", "wrong"),
        log_in(anybody, "admin", f"{PASSWORD} "),
        log_in(anybody, "admin", PASSWORD.upper()),
        log_in(anybody, "' OR 1=1 --", "wrong"),
    ]

    assert {refused(answer) for answer in answers} == {(401, "login_refused")}
    assert len({answer.data for answer in answers}) == 1


def test_after_five_wrong_passwords_even_the_right_one_waits(anybody, hired):
    for _ in range(5):
        log_in(anybody, "admin", "wrong")

    answer = log_in(anybody, "admin")

    assert refused(answer) == (429, "too_many_logins")
    assert 14 * 60 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert answer.json["minutes"] == 15
    assert log_in(anybody, "owner").status_code == 200


def test_four_wrong_passwords_are_forgiven(anybody, hired):
    for _ in range(4):
        log_in(anybody, "admin", "wrong")

    answer = log_in(anybody, "admin")

    assert answer.status_code == 200


def test_an_unknown_name_is_throttled_too_and_a_name_has_no_case_in_this(anybody, hired):
    for name in ("ghost", "Ghost", "GHOST", "gHost", "ghosT"):
        log_in(anybody, name, "wrong")

    answer = log_in(anybody, "ghost", "wrong")

    assert refused(answer) == (429, "too_many_logins")


def test_the_wait_that_was_told_is_long_enough(app, anybody, hired):
    for second in (0, 60, 120, 180, 240):
        app.config["CLOCK_OFFSET_S"] = second
        log_in(anybody, "admin", "wrong")
    told_s = int(log_in(anybody, "admin").headers["Retry-After"])

    app.config["CLOCK_OFFSET_S"] = 240 + told_s - 10
    before = log_in(anybody, "admin")
    app.config["CLOCK_OFFSET_S"] = 240 + told_s + 1
    after = log_in(anybody, "admin")

    assert told_s <= 15 * 60 - 240
    assert (before.status_code, after.status_code) == (429, 200)


@pytest.mark.parametrize("body", [{}, {"username": "x"}, {"password": "x"}])
def test_a_name_and_a_password_are_needed(body, anybody):
    answer = anybody.post("/auth/staff", body, key=None)

    assert refused(answer) == (400, "malformed")


def test_a_password_is_never_told_back(anybody):
    answer = log_in(anybody, "", "the very secret one")

    assert refused(answer) == (400, "malformed")
    assert "secret" not in answer.text
