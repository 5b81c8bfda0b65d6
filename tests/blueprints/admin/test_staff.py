"""Who works here: hired, moved, let go; nobody makes themselves more than they are."""

import pytest

from models import Staff
from tests.caller import Caller
from tests.conftest import PASSWORD
from tests.makers import otp
from tests.mall.books import one
from tests.mall.together import together

NEW = {"username": "wang", "name": "小王", "role": "analyst"}


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def owner(as_staff):
    return as_staff("owner")


@pytest.fixture
def log_in(anybody):
    def send(username, password=PASSWORD):
        body = {"username": username, "password": password}
        return anybody.post("/auth/staff", body, key=None)

    return send


def code(answer):
    return answer.status_code, answer.json["code"]


@pytest.mark.covers("K4")
def test_a_new_colleague_gets_a_password_once_and_changes_it_first(admin, log_in, anybody):
    hired = admin.post("/admin/staff", NEW).json
    first = hired["password"]
    answer = log_in("wang", first)
    wang = Caller(anybody.app, anybody.contract, answer.json["access_token"])

    assert hired["password_change_needed"] and len(first) == 16
    assert code(wang.get("/admin/rewards")) == (403, "password_change_needed")
    body = {"password": first, "new_password": "a word of my own"}
    assert not wang.post("/auth/me/password", body).json["password_change_needed"]
    assert wang.get("/admin/rewards").status_code == 200
    listed = admin.get("/admin/staff?role=analyst").json["items"]
    assert listed[0]["username"] == "wang" and "password" not in listed[0]


def test_a_list_says_who_works_where_and_how_safely(admin, hired, stores):
    items = admin.get("/admin/staff?limit=100").json["items"]

    assert [each["id"] for each in items] == sorted(hired.values(), reverse=True)
    clerk = next(each for each in items if each["username"] == "clerk-a")
    assert clerk["store"]["id"] == stores["A"] and not clerk["second_factor"]
    assert admin.get("/admin/staff?active=false").json["items"] == []


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_only_an_owner_makes_or_changes_those_who_run_the_mall(admin, owner, hired, role):
    who = {**NEW, "role": role}
    analyst, other = hired["analyst"], hired["owner"]

    assert code(admin.post("/admin/staff", who)) == (403, "owners_only")
    assert code(admin.patch(f"/admin/staff/{analyst}", {"role": role})) == (403, "owners_only")
    assert code(admin.patch(f"/admin/staff/{other}", {"active": False})) == (403, "owners_only")
    for what in ("password-reset", "second-factor-removal"):
        assert code(admin.post(f"/admin/staff/{other}/{what}", {})) == (403, "owners_only")
    assert owner.post("/admin/staff", who).status_code == 201
    assert owner.patch(f"/admin/staff/{analyst}", {"role": role}).json["role"] == role


@pytest.mark.covers("K4")
def test_nobody_changes_themselves(owner, hired):
    path = f"/admin/staff/{hired['owner']}"

    for change in ({"role": "clerk"}, {"active": False}, {"name": "x"}):
        assert code(owner.patch(path, change)) == (403, "not_yourself")
    for what in ("password-reset", "second-factor-removal"):
        assert code(owner.post(f"{path}/{what}", {})) == (403, "not_yourself")


def test_who_is_moved_or_let_go_is_logged_out_at_once(admin, as_staff, hired, stores, log_in):
    clerk, path = as_staff("clerk-a"), f"/admin/staff/{hired['clerk-a']}"
    assert admin.patch(path, {"name": "新名"}).json["sessions"] == 1
    moved = admin.patch(path, {"store_id": stores["B"]}).json
    assert moved["store"]["code"] == "B" and clerk.get("/clerk/actions").status_code == 401

    again = as_staff("clerk-a")
    gone = admin.patch(path, {"active": False}).json

    assert (gone["active"], gone["sessions"]) == (False, 0)
    assert again.get("/clerk/actions").status_code == 401
    assert code(log_in("clerk-a")) == (401, "login_refused")


def test_a_till_needs_a_store_and_the_office_has_none(admin, hired, stores):
    path = f"/admin/staff/{hired['analyst']}"

    assert code(admin.patch(path, {"role": "clerk"})) == (409, "store_missing")
    assert admin.patch(path, {"role": "clerk", "store_id": 999}).status_code == 404
    assert (
        admin.patch(path, {"role": "clerk", "store_id": stores["A"]}).json["store"]["code"] == "A"
    )
    assert admin.patch(path, {"role": "analyst"}).json["store"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("username", "王"), ("username", "a b"), ("username", "A"), ("role", "king"), ("name", "")],
)
def test_a_name_that_nobody_can_type_is_refused(admin, field, value):
    assert code(admin.post("/admin/staff", {**NEW, field: value})) == (400, "malformed")


def test_a_name_is_taken_once_and_a_weak_password_is_refused(admin, hired):
    taken, weak = {**NEW, "username": "analyst"}, {**NEW, "password": "wang1234"}

    assert code(admin.post("/admin/staff", taken)) == (409, "name_taken")
    assert code(admin.post("/admin/staff", weak)) == (409, "password_weak")


def test_who_forgot_their_password_gets_one_for_a_single_log_in(admin, as_staff, hired, log_in):
    clerk = as_staff("clerk-a")

    reset = admin.post(f"/admin/staff/{hired['clerk-a']}/password-reset", {}).json

    assert clerk.get("/clerk/actions").status_code == 401
    assert code(log_in("clerk-a")) == (401, "login_refused")
    assert log_in("clerk-a", reset["password"]).status_code == 200
    assert reset["password_change_needed"]


def test_who_lost_their_phone_is_let_in_by_another(owner, as_staff, hired, log_in):
    admin = as_staff("admin")
    secret = admin.post("/auth/me/second-factor", {"password": PASSWORD}).json["secret"]
    admin.post("/auth/me/second-factor/confirmation", {"otp": otp(secret)})
    assert code(log_in("admin")) == (401, "otp_needed")

    owner.post(f"/admin/staff/{hired['admin']}/second-factor-removal", {})

    assert admin.get("/auth/me").status_code == 401 and log_in("admin").status_code == 200


def test_two_owners_who_let_each_other_go_at_once_leave_one(app, owner, hired):
    second = owner.post("/admin/staff", {**NEW, "role": "owner"}).json["id"]
    from mall import audit, clock, staff
    from mall.atomic import atomic

    def let_go(who, by):
        with atomic():
            audit.begin()  # as every change in the console does
            return staff.change(who, {"active": False}, by=by, now=clock.now())

    together(app, [lambda: let_go(second, hired["owner"]), lambda: let_go(hired["owner"], second)])

    still = [one(Staff.active, Staff.id == each) for each in (hired["owner"], second)]
    assert sorted(still) == [False, True]


@pytest.mark.covers("K7")
def test_hiring_and_changing_are_in_the_audit_log_without_a_password(admin, owner):
    hired = admin.post("/admin/staff", NEW).json
    admin.patch(f"/admin/staff/{hired['id']}", {"name": "大王"})

    changed, added = owner.get("/admin/audit?subject_kind=staff").json["items"]

    assert (added["action"], added["after"]["username"]) == ("staff.hire", "wang")
    assert (changed["before"]["name"], changed["after"]["name"]) == ("小王", "大王")
    assert hired["password"] not in str((added, changed)) and "argon2" not in str((added, changed))
