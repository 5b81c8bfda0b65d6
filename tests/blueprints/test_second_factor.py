"""One's own account: a second factor, another password, sessions that end."""

from datetime import timedelta

import pytest

from mall import clock, keys, shop
from models import SecondFactor, StaffSession
from tests.caller import Caller
from tests.conftest import PASSWORD
from tests.makers import otp
from tests.mall.books import count, one
from tests.mall.together import together

ME = "/auth/me"
FACTOR = f"{ME}/second-factor"
OTHER = "quite another one"


@pytest.fixture
def log_in(hired, anybody):
    """Log in with whatever is sent; answers the response."""

    def send(username, password=PASSWORD, **more):
        body = {"username": username, "password": password, **more}
        return anybody.post("/auth/staff", body, key=None)

    return send


@pytest.fixture
def as_one(anybody):
    """A caller with the token of a log-in's answer."""
    return lambda answer: Caller(anybody.app, anybody.contract, answer.json["access_token"])


@pytest.fixture
def enrolled(as_staff):
    """Somebody with a second factor, whose last used code is the one of half a minute ago."""

    def enrol(username):
        person = as_staff(username)
        begun = person.post(FACTOR, {"password": PASSWORD})
        assert begun.status_code == 200, begun.json
        shown = person.post(f"{FACTOR}/confirmation", {"otp": otp(begun.json["secret"], -30)})
        assert shown.json["second_factor"], shown.json
        return person, begun.json["secret"]

    return enrol


def code(answer):
    return answer.status_code, answer.json["code"]


def later(app, **span):
    app.config["CLOCK_OFFSET_S"] += int(timedelta(**span).total_seconds())


def test_who_is_logged_in_sees_their_own_account(as_staff, hired, stores):
    assert as_staff("clerk-a").get(ME).json == {
        "id": hired["clerk-a"],
        "username": "clerk-a",
        "name": "clerk-a",
        "role": "clerk",
        "store": {"id": stores["A"], "code": "A", "name": "A店"},
        "second_factor": False,
        "second_factor_needed": False,
        "password_change_needed": False,
        "sessions": 1,
    }


@pytest.mark.covers("K4")
def test_once_enrolled_a_log_in_asks_for_a_code_that_is_good_once(enrolled, log_in):
    _, secret = enrolled("admin")

    assert code(log_in("admin")) == (401, "otp_needed")
    now = otp(secret)
    assert log_in("admin", otp=now).status_code == 200
    assert code(log_in("admin", otp=now)) == (401, "otp_wrong")
    assert code(log_in("admin", "wrong", otp=otp(secret, 30))) == (401, "login_refused")
    assert log_in("admin", otp=otp(secret, 30)).status_code == 200


@pytest.mark.parametrize("off_s", [-90, 90])
def test_a_code_of_another_time_is_wrong(enrolled, log_in, app, off_s):
    _, secret = enrolled("admin")
    later(app, minutes=5)

    assert code(log_in("admin", otp=otp(secret, off_s))) == (401, "otp_wrong")
    assert log_in("admin", otp=otp(secret, -30)).status_code == 200


def test_a_secret_counts_only_once_a_code_of_it_was_shown(as_staff, log_in):
    person = as_staff("admin")
    person.post(FACTOR, {"password": PASSWORD})
    assert log_in("admin").status_code == 200

    again = person.post(FACTOR, {"password": PASSWORD}).json["secret"]
    wrong = person.post(f"{FACTOR}/confirmation", {"otp": "000000"})
    shown = person.post(f"{FACTOR}/confirmation", {"otp": otp(again)})

    assert code(wrong) == (401, "otp_wrong") and shown.json["second_factor"]
    assert code(person.post(FACTOR, {"password": PASSWORD})) == (409, "second_factor_enrolled")
    twice = person.post(f"{FACTOR}/confirmation", {"otp": otp(again, 30)})
    assert code(twice) == (409, "second_factor_enrolled")


def test_the_secret_is_told_as_authenticator_apps_read_it_and_kept_sealed(as_staff):
    told = as_staff("admin").post(FACTOR, {"password": PASSWORD}).json

    uri = told["otpauth_uri"]
    assert uri.startswith(
        "otpauth://totp/%E4%BC%9A%E5%91%98%E8%BF%90%E8%90%A5%E4%B8%AD%E5%BF%83%3A"
    )
    assert f"secret={told['secret']}" in uri and len(told["secret"]) == 32
    sealed = bytes(one(SecondFactor.sealed))
    assert keys.unseal("second factor", sealed) and keys.unseal("another", sealed) is None


def test_wrong_codes_and_wrong_passwords_close_one_door(enrolled, log_in):
    person, secret = enrolled("admin")
    for n in range(4):
        assert code(log_in("admin", otp=f"00000{n}")) == (401, "otp_wrong")
    assert code(person.post(f"{ME}/password", {"password": "x", "new_password": OTHER})) == (
        409,
        "password_wrong",
    )

    assert code(log_in("admin", otp=otp(secret))) == (429, "too_many_logins")


def test_asking_without_a_code_is_no_wrong_guess(enrolled, log_in):
    _, secret = enrolled("admin")
    for _ in range(6):
        assert code(log_in("admin")) == (401, "otp_needed")

    assert log_in("admin", otp=otp(secret)).status_code == 200


def test_one_code_sent_by_eight_at_once_lets_one_in(enrolled, app):
    from mall import staff
    from tests.makers import a_key

    _, secret = enrolled("admin")
    shown = otp(secret)
    who = {"username": "admin", "password": PASSWORD, "otp": shown}

    outcomes = together(
        app, [lambda: staff.log_in(**who, key=a_key(None, None), now=clock.now())] * 4
    )

    assert sum(getattr(each, "status", None) == 200 for each in outcomes) == 1


def test_a_second_factor_goes_with_password_and_code_only(enrolled, log_in):
    person, secret = enrolled("admin")
    body = {"password": PASSWORD, "otp": otp(secret)}

    assert code(person.post(f"{FACTOR}/removal", {**body, "password": "x"})) == (
        409,
        "password_wrong",
    )
    assert code(person.post(f"{FACTOR}/removal", {**body, "otp": "1"})) == (401, "otp_wrong")
    assert not person.post(f"{FACTOR}/removal", body).json["second_factor"]
    assert log_in("admin").status_code == 200 and count(SecondFactor) == 0
    none = person.post(f"{FACTOR}/removal", {**body, "otp": otp(secret, 30)})
    assert code(none) == (409, "second_factor_not_begun")


@pytest.mark.covers("K4")
def test_a_shop_may_require_it_of_all_who_enter_the_console(as_staff, enrolled):
    shop.tune("second_factor_required", True)
    admin, clerk, analyst = as_staff("admin"), as_staff("clerk-a"), as_staff("analyst")

    assert code(admin.get("/admin/rewards")) == (403, "second_factor_missing")
    assert code(analyst.get("/admin/rewards")) == (403, "second_factor_missing")
    assert clerk.get("/clerk/actions").status_code == 200
    assert admin.get(ME).json["second_factor_needed"]
    owner, secret = enrolled("owner")
    assert owner.get("/admin/rewards").status_code == 200
    kept = owner.post(f"{FACTOR}/removal", {"password": PASSWORD, "otp": otp(secret)})
    assert code(kept) == (409, "second_factor_needed")


def test_a_new_password_ends_the_other_sessions_and_the_old_one_is_over(as_staff, log_in):
    here, elsewhere = as_staff("admin"), as_staff("admin")

    answer = here.post(f"{ME}/password", {"password": PASSWORD, "new_password": OTHER})

    assert answer.json["sessions"] == 1
    assert here.get(ME).status_code == 200 and elsewhere.get(ME).status_code == 401
    assert code(log_in("admin")) == (401, "login_refused")
    assert log_in("admin", OTHER).status_code == 200


@pytest.mark.parametrize("weak", ["1234567", "aaaaaaaaaaaa", "my-Admin-word", PASSWORD])
def test_a_weak_password_is_refused(as_staff, weak):
    answer = as_staff("admin").post(f"{ME}/password", {"password": PASSWORD, "new_password": weak})

    assert code(answer) == (409, "password_weak")


def test_logging_out_ends_this_session_or_all_others(as_staff):
    first, second, third = (as_staff("admin") for _ in range(3))

    assert first.delete(f"{ME}/session").status_code == 204
    assert first.get(ME).status_code == 401 and count(StaffSession) == 2
    assert second.delete(f"{ME}/sessions").status_code == 204
    assert second.get(ME).status_code == 200 and third.get(ME).status_code == 401


@pytest.mark.covers("K4")
def test_a_session_of_the_console_ends_where_nobody_uses_it(as_staff, app):
    admin, analyst, clerk = as_staff("admin"), as_staff("analyst"), as_staff("clerk-a")
    later(app, minutes=29)
    assert admin.get(ME).status_code == 200
    later(app, minutes=29)

    assert admin.get(ME).status_code == 200
    assert analyst.get(ME).status_code == 401  # unused for 58 minutes
    assert clerk.get("/clerk/actions").status_code == 200  # a till waits all day
    later(app, minutes=30)
    assert admin.get(ME).status_code == 401


def test_being_in_use_is_noted_once_a_minute(as_staff, app):
    admin = as_staff("admin")
    began = one(StaffSession.last_used_at)
    admin.get(ME)
    assert one(StaffSession.last_used_at) == began
    later(app, minutes=1, seconds=1)

    admin.get(ME)

    assert one(StaffSession.last_used_at) > began


def test_the_time_a_session_may_rest_is_the_shops(as_staff, app):
    shop.tune("admin_idle_minutes", 5)
    admin = as_staff("admin")
    later(app, minutes=6)

    assert admin.get(ME).status_code == 401


def test_what_somebody_changes_of_their_own_account_is_noted_without_secrets(enrolled, as_staff):
    person, _ = enrolled("admin")
    person.post(f"{ME}/password", {"password": PASSWORD, "new_password": OTHER})

    noted = as_staff("owner").get("/admin/audit?subject_kind=staff").json["items"]

    actions = [entry["action"] for entry in noted]
    assert actions == ["staff.change_password", "staff.enrol_second_factor"]
    assert PASSWORD not in str(noted) and OTHER not in str(noted)
