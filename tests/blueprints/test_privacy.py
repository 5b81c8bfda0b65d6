"""What is nobody else's to see: openids, passwords, tokens, phone numbers, voucher codes."""

import hashlib
import json
import logging
import secrets
from typing import Any

import pytest
import sqlalchemy as sa

from models import IdempotencyKey, Member, Staff, StaffSession, db
from tests.blueprints.test_pages import LISTS
from tests.conftest import PASSWORD

PHONE = "13812345678"
WRONG_PASSWORD = "a wrong password of somebody's"


@pytest.fixture
def the_log(caplog) -> Any:
    """A log that writes all it can, and every statement, from before anybody comes."""
    for logger in ("", "blueprints", "mall"):
        caplog.set_level(logging.DEBUG, logger=logger)
    caplog.set_level(logging.INFO, logger="sqlalchemy.engine")
    return caplog


@pytest.fixture
def a_day(app, the_log, busy_shop, anybody):
    """A day in a shop; answers its people and its secrets."""
    shopper, clerk, admin = busy_shop["shopper"], busy_shop["clerk"], busy_shop["admin"]
    shopper.post("/me/phone", {"code": f"phone-{PHONE}"})
    busy_shop["friends"][0].post("/me/phone", {"code": f"phone-{PHONE}"})
    anybody.post("/auth/staff", {"username": "clerk-a", "password": WRONG_PASSWORD}, key=None)
    anybody.post("/auth/wechat", {"code": "user-busy"})
    payload = shopper.get("/me/card").json["code"]["payload"]
    scanned = clerk.post("/clerk/scans", {"code": payload}, key=None).json
    receipt = {"scan_token": scanned["scan_token"], "receipt_no": "R1", "amount_fen": 100}
    clerk.post("/clerk/purchases", receipt)
    codes = [redemption["voucher"]["code"] for redemption in busy_shop["redemptions"]]
    clerk.post(f"/clerk/vouchers/{codes[0]}/use")
    clerk.post(f"/clerk/vouchers/{codes[0]}/use")
    shopper.post(f"/me/redemptions/{busy_shop['redemptions'][1]['id']}/cancellation")
    db.session.rollback()
    return {
        "shop": busy_shop,
        "codes": codes,
        "openids": list(db.session.scalars(sa.select(Member.openid))),
        "hashes": list(db.session.scalars(sa.select(Staff.password_hash))),
        "passwords": [PASSWORD, WRONG_PASSWORD],
        "tokens": [shopper.token, clerk.token, admin.token, scanned["scan_token"]],
        "phones": [PHONE],
    }


def spellings(codes: list[str]) -> list[str]:
    return [*codes, *(code.replace("-", "") for code in codes)]


@pytest.mark.covers("K7")
def test_the_log_holds_no_secret(a_day, the_log):
    kinds = ("openids", "hashes", "passwords", "tokens", "phones")
    secret = [each for kind in kinds for each in a_day[kind]] + spellings(a_day["codes"])

    records = the_log.get_records("setup")
    written = "".join(f"{record.getMessage()} {record.__dict__}" for record in records)

    assert [each for each in secret if each in written] == []
    assert len(secret) > 15 and "INSERT INTO members" in written


@pytest.mark.covers("K7")
def test_a_failing_statement_is_logged_without_whose_it_was(app, as_shopper, caplog):
    shopper = as_shopper("one")

    def fails(cursor, statement, parameters, context):
        if statement.startswith("UPDATE members"):
            raise db.engine.dialect.loaded_dbapi.OperationalError("the disk is gone")

    sa.event.listen(db.engine, "do_execute", fails)
    try:
        answer = shopper.post("/me/phone", {"code": f"phone-{PHONE}"})
    finally:
        sa.event.remove(db.engine, "do_execute", fails)

    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert "the disk is gone" in caplog.text and "UPDATE members" in caplog.text
    assert PHONE not in caplog.text


@pytest.mark.covers("K7")
def test_no_answer_holds_what_its_caller_must_not_see(a_day):
    shop = a_day["shop"]
    callers = {role: shop[role] for role in ("shopper", "clerk", "admin")}
    seen = {path: callers[role].get(path).text for path, role in LISTS.items()}
    seen |= {path: shop["shopper"].get(path).text for path in ("/me", "/me/card", "/me/referral")}
    member = f"/admin/members/{shop['shopper'].id}"
    seen |= {path: shop["admin"].get(path).text for path in (member, "/admin/ledger/verification")}

    never = [each for kind in ("openids", "hashes", "phones") for each in a_day[kind]]
    owners = {"/me/redemptions", "/me/vouchers"}

    assert [(path, each) for path, text in seen.items() for each in never if each in text] == []
    assert {
        path for path, text in seen.items() if any(c in text for c in spellings(a_day["codes"]))
    } == owners


@pytest.mark.covers("E14")
def test_a_code_is_shown_to_its_owner_only_while_it_is_worth_something(a_day):
    shopper = a_day["shop"]["shopper"]

    shown = {row["state"]: row["code"] for row in shopper.get("/me/vouchers").json["items"]}

    assert shown == {"used": None, "void": None, "issued": a_day["codes"][2]}
    for redemption in shopper.get("/me/redemptions").json["items"]:
        assert redemption["voucher"]["code"] == shown[redemption["voucher"]["state"]]


@pytest.mark.covers("K7")
def test_a_scan_tells_the_clerk_who_it_is_but_no_code_and_no_number(a_day):
    clerk, shopper = a_day["shop"]["clerk"], a_day["shop"]["shopper"]
    payload = shopper.get("/me/card").json["code"]["payload"]

    scanned = clerk.post("/clerk/scans", {"code": payload}, key=None)

    assert scanned.json["member"]["phone_masked"] == "138****5678"
    assert PHONE not in scanned.text
    assert [code for code in spellings(a_day["codes"]) if code in scanned.text] == []


def test_what_is_kept_of_an_answer_holds_no_token_and_no_code(a_day, anybody, redeem):
    shopper = a_day["shop"]["shopper"]
    body = {"username": "admin", "password": PASSWORD}
    token = anybody.post("/auth/staff", body).json["access_token"]
    code = redeem(shopper, a_day["shop"]["rewards"][0])["voucher"]["code"]
    db.session.rollback()

    kept = b"".join(bytes(b) for b in db.session.scalars(sa.select(IdempotencyKey.body)) if b)

    assert b"voucher-code:" in kept
    secret = [token, code, code.replace("-", ""), *a_day["tokens"], *spellings(a_day["codes"])]
    assert [each for each in secret if each.encode() in kept] == []
    assert token not in list(db.session.scalars(sa.select(StaffSession.token_hash)))


def test_what_is_kept_of_a_request_does_not_help_to_guess_its_password(anybody, hired):
    body, key = {"username": "admin", "password": PASSWORD}, secrets.token_hex(16)
    anybody.post("/auth/staff", body, key=key)
    db.session.rollback()

    kept = db.session.scalar(sa.select(IdempotencyKey.fingerprint).where(IdempotencyKey.key == key))

    texts = [json.dumps(body, sort_keys=True), json.dumps(body)]
    asked = [f"/api/v1/auth/staff?\n{text}".encode() for text in texts]
    assert kept and kept not in [hashlib.sha256(each).hexdigest() for each in asked]


def test_a_turned_key_ring_still_knows_what_was_asked(app, anybody, hired):
    body, key = {"username": "admin", "password": PASSWORD}, secrets.token_hex(16)
    first = anybody.post("/auth/staff", body, key=key)
    ring = app.config["SECRET_KEYS"]
    app.config["SECRET_KEYS"] = f"k3:{'c' * 32},{ring}"

    second = anybody.post("/auth/staff", body, key=key)

    app.config["SECRET_KEYS"] = ring
    assert (second.status_code, second.data) == (200, first.data)


@pytest.mark.covers("F1")
def test_a_friend_is_shown_by_no_more_than_a_first_character(a_day):
    shopper, friend = a_day["shop"]["shopper"], a_day["shop"]["friends"][0]
    friend.patch("/me", {"nickname": "王小明"})

    friends = shopper.get("/me/referrals").json["items"]

    assert [row["nickname_masked"] for row in friends] == ["**", "**", "王**"]
    assert set(friends[0]) == {"nickname_masked", "state", "reason", "says", "points"}
