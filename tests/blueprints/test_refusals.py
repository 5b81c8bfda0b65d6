"""How every call refuses: problem+json, a stable code, a sentence in the caller's language."""

import pytest
from sqlalchemy.exc import DataError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mall import tokens
from mall.clock import now
from models import Staff, StaffSession, db
from tests.blueprints.routes import CALLS
from tests.caller import Caller

LANGUAGES = {
    "": "积分不足，还差 200 分",
    "zh-CN,zh;q=0.9,en;q=0.8": "积分不足，还差 200 分",
    "zh-TW": "积分不足，还差 200 分",
    "fr": "积分不足，还差 200 分",
    "*": "积分不足，还差 200 分",
    "en": "200 points short.",
    "en-GB,en;q=0.9": "200 points short.",
    "en;q=0.5,zh;q=0.4": "200 points short.",
    "nonsense;;q=;,": "积分不足，还差 200 分",
}
NO_TOKENS = (
    "",
    "Bearer",
    "Bearer ",
    "Basic dTpw",
    "Bearer nonsense",
    "Bearer s.",
    "Bearer s.nonsense",
    "Bearer s.WzEsMV0.AAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "Bearer s.\xff\xe9",
    "Bearer \xff\xe9",
    "Bearer " + "a" * 5000,
)
PROBLEM = {"type", "title", "status", "detail", "code"}


def said(answer):
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == answer.status_code
    assert set(answer.json) >= PROBLEM
    return answer.status_code, answer.json["code"]


@pytest.fixture
def poor(as_shopper, a_reward):
    """A shopper who can't pay for a reward, and the request that says so."""
    shopper, reward = as_shopper("poor"), a_reward(price_points=100)

    def ask(**headers: str):
        body = {"reward_id": reward.id, "quantity": 2}
        return shopper.post("/me/redemptions", body, headers=headers)

    return ask


def test_a_refusal_carries_the_numbers_behind_it(poor):
    refused = poor()

    assert said(refused) == (409, "not_enough_points")
    assert refused.json == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "积分不足，还差 200 分",
        "code": "not_enough_points",
        "short_by": 200,
    }


def test_the_sentence_is_in_the_callers_language(poor):
    refused = {language: poor(**{"Accept-Language": language}).json for language in LANGUAGES}

    details = {language: problem["detail"] for language, problem in refused.items()}

    assert details == LANGUAGES
    assert {problem["code"] for problem in refused.values()} == {"not_enough_points"}


def test_what_the_framework_refuses_is_said_in_both_languages_too(anybody):
    english = {"Accept-Language": "en"}

    details = [anybody.get("/nowhere", headers=headers).json["detail"] for headers in ({}, english)]

    assert details == ["没有找到", "Not found."]


def test_a_path_that_leads_nowhere_is_not_found(as_role):
    paths = ["/nowhere", "/me/", "/me/redemptions/x", "/me/redemptions/-1", "/rewards/1.0", "/%00"]

    answers = [as_role("shopper").get(path) for path in paths]

    assert [said(answer) for answer in answers] == [(404, "not_found")] * len(paths)


def test_a_number_that_no_id_can_have_is_not_found(as_role):
    shopper, admin = as_role("shopper"), as_role("admin")
    numbers = ["0", "01", "-1", str(10**15), str(2**53), str(2**63), str(2**64), "9" * 5000]

    asked = [
        answer
        for number in numbers
        for answer in (
            shopper.get(f"/me/redemptions/{number}"),
            shopper.get(f"/rewards/{number}"),
            shopper.post(f"/me/redemptions/{number}/cancellation"),
            admin.get(f"/admin/rewards/{number}"),
            admin.patch(f"/admin/rewards/{number}", {}),
            admin.get(f"/admin/members/{number}"),
        )
    ]

    assert {said(answer) for answer in asked} == {(404, "not_found")}


@pytest.mark.parametrize("number", [7, 2**31, 10**15 - 1])
def test_an_id_that_nobody_has_is_not_found(number, as_role):
    shopper, admin, clerk = as_role("shopper"), as_role("admin"), as_role("clerk")
    parcel, move = {"carrier": "x", "tracking_no": "y"}, {"quantity": 1, "reason": "count"}
    receipt = {"member_id": number, "receipt_no": "R1", "amount_fen": 100}
    bring = {"from_store_id": 1, "to_store_id": 2, "quantity": 1}

    asked = [
        shopper.get(f"/me/redemptions/{number}"),
        shopper.get(f"/rewards/{number}"),
        shopper.get(f"/rewards/{number}/stores"),
        shopper.post(f"/me/redemptions/{number}/cancellation"),
        shopper.post("/me/redemptions", {"reward_id": number, "quantity": 1}),
        admin.get(f"/admin/rewards/{number}"),
        admin.get(f"/admin/rewards/{number}/stock"),
        admin.get(f"/admin/rewards/{number}/store-moves"),
        admin.get(f"/admin/members/{number}"),
        admin.patch(f"/admin/rewards/{number}", {}, headers={"If-Match": '"1"'}),
        admin.post(f"/admin/rewards/{number}/stock-moves", move),
        admin.post(f"/admin/rewards/{number}/stock-transfers", bring),
        admin.post(f"/admin/redemptions/{number}/shipment", parcel),
        admin.post(f"/admin/points-adjustments/{number}/review", {"approved": True}),
        clerk.post("/clerk/purchases", receipt),
    ]

    assert [said(answer) for answer in asked] == [(404, "not_found")] * len(asked)


def test_a_method_that_is_not_supported_is_told_with_those_that_are(as_role):
    answers = {
        path: as_role("shopper").call(method, path)
        for method, path in (("DELETE", "/me"), ("GET", "/auth/wechat"), ("PUT", "/me/redemptions"))
    }

    assert {said(answer) for answer in answers.values()} == {(405, "method_not_allowed")}
    assert set(answers["/me"].headers["Allow"].split(", ")) >= {"GET", "PATCH"}
    assert "POST" in answers["/auth/wechat"].headers["Allow"]


def test_without_a_token_of_ours_nobody_is_let_in(app, contract, hired):
    headers = [{}, *({"Authorization": header} for header in NO_TOKENS)]
    nobody = Caller(app, contract)

    answers = [
        answer
        for header in headers
        for answer in (
            nobody.get("/me", headers=header),
            nobody.post("/clerk/scans", {"code": "x"}, headers=header),
            nobody.get("/admin/members", headers=header),
        )
    ]

    assert {said(answer) for answer in answers} == {(401, "unauthenticated")}
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


def test_a_token_made_for_another_purpose_lets_nobody_in(app, as_shopper, as_staff):
    shopper, clerk = as_shopper("one"), as_staff("clerk-a")
    scan_token = tokens.for_scan(shopper.id, staff_id=1, now=now())

    answers = [
        shopper.get("/me", headers={"Authorization": f"Bearer s.{scan_token}"}),
        clerk.get("/me", headers={"Authorization": f"Bearer s.{clerk.token}"}),
        shopper.get("/me", headers={"Authorization": f"Bearer {shopper.token[2:]}"}),
    ]

    assert {said(answer) for answer in answers} == {(401, "unauthenticated")}


def test_a_token_that_is_over_lets_nobody_in(app, as_shopper, as_staff):
    shopper, clerk = as_shopper("one"), as_staff("clerk-a")

    def answers(after_s: int) -> list[int]:
        app.config["CLOCK_OFFSET_S"] = after_s
        scan = clerk.post("/clerk/scans", {"code": "888800000000"})
        return [shopper.get("/me").status_code, scan.status_code]

    assert answers(0) == answers(2 * 3600 - 60) == [200, 404]
    assert answers(2 * 3600 + 1) == [401, 404]
    assert answers(12 * 3600 + 1) == [401, 401]


@pytest.mark.parametrize("change", ["dismissed", "logged out"])
def test_who_no_longer_works_here_is_not_let_in(change, as_staff, hired):
    admin = as_staff("admin")
    table = Staff if change == "dismissed" else StaffSession
    db.session.rollback()
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        if change == "dismissed":
            connection.execute(Staff.__table__.update().values(active=False))
        else:
            connection.execute(table.__table__.delete())

    answer = admin.get("/admin/members")

    assert said(answer) == (401, "unauthenticated")


@pytest.mark.covers("K4")
def test_a_wrong_audience_is_told_before_the_body_is_read(as_role):
    others = {"shopper": "clerk", "clerk": "admin", "admin": "shopper"}
    calls = [call for call in CALLS if call.role in others]

    answers = {
        call.name: as_role(others[call.role]).call(call.method, call.path, data=b"nonsense")
        for call in calls
    }

    assert {said(answer) for answer in answers.values()} == {(403, "wrong_audience")}


def test_no_answer_of_the_api_is_anothers_to_keep(as_role, anybody):
    answers = [as_role("shopper").get("/me"), anybody.get("/nowhere"), anybody.get("/me")]

    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}


def test_a_bug_is_a_problem_that_tells_nothing_of_itself(as_role, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("the secret inside")

    shopper = as_role("shopper")
    monkeypatch.setattr("mall.profiles.view", broken)

    answer = shopper.get("/me")

    assert said(answer) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "the secret inside" in caplog.text


@pytest.mark.parametrize(
    ("kind", "gone", "status"),
    [
        (OperationalError, False, 503),
        (InternalError, True, 503),
        (InternalError, False, 500),
        (DataError, False, 500),
    ],
)
def test_a_database_that_went_away_is_told_from_a_bug(
    kind, gone, status, as_role, monkeypatch, caplog
):
    def fails(*_, **__):
        raise kind("SELECT 1", {}, Exception("why"), connection_invalidated=gone)

    shopper = as_role("shopper")
    monkeypatch.setattr("mall.profiles.view", fails)

    answer = shopper.get("/me")

    codes = {503: "unavailable", 500: "internal_error"}
    assert said(answer) == (status, codes[status])
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert "why" in caplog.text and "why" not in answer.text


def test_when_every_connection_is_taken_one_is_asked_to_come_back(as_role, monkeypatch):
    def fails(*_, **__):
        raise PoolTimeout("the pool is empty")

    shopper = as_role("shopper")
    monkeypatch.setattr("mall.profiles.view", fails)

    answer = shopper.get("/me")

    assert said(answer) == (503, "unavailable")
