"""Log in with WeChat; who comes for the first time joins."""

import pytest
import sqlalchemy as sa

from models import Account, Member, db

PROFILE = {
    "id",
    "card_no",
    "nickname",
    "gender",
    "birthday",
    "phone_masked",
    "city",
    "joined_at",
    "completeness_percent",
}


def log_in(anybody, code: str, **more: str):
    return anybody.post("/auth/wechat", {"code": code, **more}, key=None)


@pytest.mark.covers("A1")
def test_a_code_is_all_that_joining_takes(anybody):
    answer = log_in(anybody, "user-new")

    assert answer.status_code == 200
    told = {"access_token", "expires_in_s", "joined", "invitation", "gift", "member"}
    assert set(answer.json) == told
    assert set(answer.json["member"]) == PROFILE
    assert (answer.json["joined"], answer.json["expires_in_s"]) == (True, 7200)
    assert answer.json["member"] | {"id": 0, "card_no": "", "joined_at": ""} == {
        "id": 0,
        "card_no": "",
        "nickname": "",
        "gender": "unknown",
        "birthday": None,
        "phone_masked": None,
        "city": "",
        "joined_at": "",
        "completeness_percent": 0,
    }


@pytest.mark.covers("A1")
def test_who_comes_again_is_the_same_member(anybody):
    first, second = log_in(anybody, "user-new").json, log_in(anybody, "user-new").json

    other = log_in(anybody, "user-other").json

    assert (first["joined"], second["joined"], other["joined"]) == (True, False, True)
    assert first["member"] == second["member"]
    assert other["member"]["id"] != first["member"]["id"]
    assert other["member"]["card_no"] != first["member"]["card_no"]


def test_a_joining_moment_is_told_with_its_offset(anybody):
    joined_at = log_in(anybody, "user-new").json["member"]["joined_at"]

    assert joined_at.endswith("+08:00") and "T" in joined_at and "." not in joined_at


def test_the_answers_key_opens_the_shop_at_once(anybody):
    session = log_in(anybody, "user-new").json
    headers = {"Authorization": f"Bearer {session['access_token']}"}

    profile = anybody.get("/me", headers=headers)

    assert (profile.status_code, profile.json) == (200, session["member"])


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_of_a_token_has_no_case(scheme, anybody):
    token = log_in(anybody, "user-new").json["access_token"]

    answer = anybody.get("/me", headers={"Authorization": f"{scheme} {token}"})

    assert answer.status_code == 200


def test_a_code_that_wechat_refuses_lets_nobody_in(anybody):
    answer = log_in(anybody, "stale")

    assert (answer.status_code, answer.json["code"]) == (401, "wechat_code_invalid")
    assert db.session.scalar(sa.select(sa.func.count(Member.id))) == 0


def test_while_wechat_is_down_nobody_can_log_in_and_all_are_told_when_to_retry(anybody, wechat):
    wechat.down = True

    answer = log_in(anybody, "user-new")

    assert (answer.status_code, answer.json["code"]) == (503, "wechat_unavailable")
    assert int(answer.headers["Retry-After"]) == answer.json["retry_after_s"] >= 1


def test_a_closed_membership_is_not_opened_again(anybody, as_shopper):
    as_shopper("gone")
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(sa.update(Account).values(state="closed"))

    answer = log_in(anybody, "user-gone")

    assert (answer.status_code, answer.json["code"]) == (403, "member_closed")


@pytest.mark.covers("A11")
def test_the_channel_of_the_first_log_in_stays(anybody, as_staff):
    member_id = log_in(anybody, "user-new", channel_code="poster-7").json["member"]["id"]
    log_in(anybody, "user-new", channel_code="poster-8")

    seen = as_staff("admin").get(f"/admin/members/{member_id}").json

    assert seen["channel_code"] == "poster-7"


@pytest.mark.parametrize(
    "body", [{}, {"code": ""}, {"code": " x"}, {"code": "x" * 129}, {"code": 1}]
)
def test_a_code_is_a_short_text(body, anybody):
    answer = anybody.post("/auth/wechat", body, key=None)

    assert (answer.status_code, answer.json["code"]) == (400, "malformed")
    assert list(answer.json["errors"]["json"]) == ["code"]
