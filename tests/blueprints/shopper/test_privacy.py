"""Personal data: what members agreed to, a copy of all of it, and being forgotten."""

import logging
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, closed, jobs, ledger, points, privacy, redemptions, shop, vouchers
from mall.atomic import atomic
from mall.guards.client import client as redis_client
from mall.points import Cause, Promise
from mall.privacy import export
from models import (
    Account,
    Closure,
    Consent,
    Lot,
    Member,
    PendingGrant,
    Redemption,
    Reward,
    Voucher,
    db,
)
from models.base import Base
from tests.blueprints.routes import POLICY
from tests.makers import a_key, grant
from tests.mall.books import DAY, ask, by_hand, count, one, rows, wrong
from tests.mall.together import together

SAID = {"nickname": "满天星", "city": "乌鲁木齐", "birthday": "1991-03-07", "gender": "female"}
PHONE = "13812348765"
ADDRESS = {"name": "韩梅梅", "phone": "13998765432", "region": "上海市", "detail": "桂花弄九号"}
REVIEW = "很好喝的桂花拿铁，下次还来买"
CANARIES = (
    *("满天星", "乌鲁木齐", "1991-03-07", PHONE, "韩梅梅", "13998765432", "桂花弄"),
    *(REVIEW, "o-canary", "EXT-CANARY", "u-canary"),
)


def code(answer):
    return answer.status_code, answer.json["code"]


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def person(as_shopper, as_staff, a_reward, admin):
    """Somebody in the middle of everything: parcels, vouchers, holds, a review, a phone."""
    shopper = as_shopper("canary", device="device-canary-1")
    by_hand(
        sa.update(Member)
        .where(Member.id == shopper.id)
        .values(external_id="EXT-CANARY", unionid="u-canary")
    )
    shopper.patch("/me", SAID)
    shopper.post("/me/phone", {"code": f"phone-{PHONE}"})
    for _ in range(2):
        grant(shopper.id, 500)
    shopper.post("/me/checkins", {}, key=None)
    clerk = as_staff("clerk-a")
    receipt = {"member_id": shopper.id, "receipt_no": "r-1", "amount_fen": 5_000}
    bought = clerk.post("/clerk/purchases", receipt).json["id"]
    review = {"purchase_id": bought, "line_no": 1, "rating": 5, "text": REVIEW}
    assert shopper.post("/me/reviews", review).status_code == 201
    for kind, more in (("delivery", {"address": ADDRESS}), ("pickup", {}), ("coupon", {})):
        reward = a_reward(kind=kind, price_points=100, units=5)
        body = {"reward_id": reward.id, "quantity": 1, **more}
        assert shopper.post("/me/redemptions", body).status_code == 201
    held = {"points": 50, "reason": "押金"}
    assert admin.post(f"/admin/members/{shopper.id}/holds", held).status_code == 201
    admin.patch(f"/admin/members/{shopper.id}", {"city": "乌鲁木齐市", "reason": "更正"})
    clerk.post("/clerk/scans", {"code": shopper.get("/me").json["card_no"]}, key="k" * 20)
    while jobs.drain_events():
        pass
    return shopper


def close(shopper):
    seen = shopper.get("/me/closure").json
    return shopper.post("/me/closure", {"points": seen["points"]})


def kept() -> str:
    """Everything the database and Redis hold, as text."""
    db.session.rollback()
    found = []
    for table in Base.metadata.sorted_tables:
        for row in db.session.execute(sa.select(table)):
            found += [
                value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                for value in row
            ]
    redis = redis_client()
    for key in redis.scan_iter():
        found += [str(key), str(redis.dump(key))]
    return "\n".join(found)


@pytest.mark.covers("A13")
def test_x28_a_member_who_is_forgotten_is_nowhere_and_the_sums_stay(person, caplog):
    caplog.set_level(logging.DEBUG)
    before, trial = kept(), ledger.trial_balance()
    assert all(each in before for each in ("满天星", "1991-03-07", REVIEW, "o-canary"))

    answer = close(person)

    assert answer.status_code == 200, answer.json
    while jobs.drain_events():
        pass
    left = kept() + caplog.text
    assert [each for each in CANARIES if each in left] == []
    assert wrong() == [] and sum(ledger.trial_balance().values()) == 0 == sum(trial.values())


@pytest.mark.covers("A13")
def test_closing_says_what_it_takes_and_takes_it_all(person):
    seen = person.get("/me/closure").json
    assert (seen["vouchers"], seen["parcels"], seen["held_points"]) == (2, 1, 50)
    assert seen["points"] > 0 and seen["blocked_by"] is None

    lost = close(person).json["lost"]

    assert lost == seen and one(Closure.lost)["points"] == seen["points"]
    figures = (Account.balance_points, Account.held_points, Account.pending_points, Account.state)
    assert rows(*figures, where=[Account.member_id == person.id]) == [(0, 0, 0, "closed")]
    assert count(Lot, Lot.points_left > 0) == 0
    assert {row[0] for row in rows(Voucher.state)} == {"void"}
    assert {row[0] for row in rows(Redemption.state)} == {"cancelled"}
    assert {row[0] for row in rows(Redemption.address)} == {None}
    assert {row[0] for row in rows(Reward.units_left)} == {5}


def test_what_was_promised_is_nobodys(person):
    cause, now = Cause("gift", "test", "1", "system"), clock.now()
    with atomic():
        points.open_book([person.id], now=now)
        points.promise_many([Promise(person.id, 70, cause, now + DAY)], now=now)
    assert person.get("/me/closure").json["pending_points"] == 70

    close(person)

    assert one(PendingGrant.state, PendingGrant.points == 70) == "voided" and wrong() == []
    points.activate_due(now=now + 2 * DAY)
    assert one(Account.balance_points, Account.member_id == person.id) == 0


def test_who_saw_other_figures_looks_again(person):
    seen = person.get("/me/closure").json["points"]
    grant(person.id, 1)

    answer = person.post("/me/closure", {"points": seen})

    assert code(answer) == (409, "closure_changed") and answer.json["points"] == seen + 1
    assert person.get("/me").json["nickname"] == "满天星"


def test_a_closed_account_is_shut_at_once_and_its_answer_can_be_asked_again(person):
    seen = person.get("/me/closure").json["points"]
    first = person.post("/me/closure", {"points": seen}, key="closing-closing-closing")

    again = person.post("/me/closure", {"points": seen}, key="closing-closing-closing")

    assert again.data == first.data and again.headers["Idempotent-Replayed"] == "true"
    assert person.get("/me").status_code == 401
    assert code(person.post("/me/closure", {"points": 0})) == (403, "member_closed")


def test_another_process_hears_of_it_within_seconds(person, monkeypatch):
    close(person)
    closed.forget(looked=True)  # as a process that has just looked
    assert person.get("/me").status_code == 200
    assert person.get("/me").json["nickname"] == ""
    monkeypatch.setattr(closed, "LOOKED_EVERY_S", 5.0)
    monkeypatch.setattr(closed._lately, "looked_at", time.monotonic() - 5.0)

    assert person.get("/me").status_code == 401


def test_who_left_may_join_anew_after_a_while_as_somebody_else(person, anybody, app):
    close(person)
    body = {"code": "user-canary"}

    barred = anybody.post("/auth/wechat", body, key=None)
    assert code(barred) == (403, "closed_lately") and barred.json["days"] == 30
    app.config["CLOCK_OFFSET_S"] = int(timedelta(days=30, minutes=1).total_seconds())
    joined = anybody.post("/auth/wechat", body, key=None).json

    assert joined["joined"] and joined["member"]["id"] != person.id
    assert joined["member"]["nickname"] == ""


def test_a_shop_may_let_them_back_at_once(person, anybody):
    shop.tune("rejoin_after_days", 0)
    close(person)

    assert anybody.post("/auth/wechat", {"code": "user-canary"}, key=None).json["joined"]


def test_a_file_of_the_shops_does_not_bring_back_who_was_forgotten(person, admin):
    close(person)
    csv = "external_id,nickname\nEXT-CANARY,满天星\n".encode()

    report = admin.post("/admin/imports/members", data=csv, headers={"Content-Type": "text/csv"})

    assert report.json["created"] == 0 and report.json["refused"][0]["reason"] == "该会员已注销"
    assert "满天星" not in kept()


def test_a_card_and_a_voucher_of_a_closed_account_are_nothing_at_a_till(person, as_staff, app):
    clerk, card_no = as_staff("clerk-a"), person.get("/me").json["card_no"]
    voucher = person.get("/me/vouchers").json["items"][0]["code"]
    close(person)

    assert code(clerk.post("/clerk/scans", {"code": card_no})) == (403, "member_closed")
    assert clerk.post(f"/clerk/vouchers/{voucher}/use", {}).status_code in (404, 409)


def test_whoever_was_merged_into_them_is_forgotten_too(person, as_shopper, admin):
    other = as_shopper("second")
    other.patch("/me", {"nickname": "另一个满天星"})
    merged = admin.post(
        f"/admin/members/{person.id}/merge", {"from_member_id": other.id, "reason": "同一人"}
    )
    assert merged.status_code == 201, merged.json

    close(person)

    assert "满天星" not in kept() and "o-second" not in kept()


def test_a_frozen_account_waits_for_people(person):
    by_hand(sa.update(Account).where(Account.member_id == person.id).values(state="frozen"))

    assert person.get("/me/closure").json["blocked_by"] == "account_frozen"
    assert code(person.post("/me/closure", {"points": 0})) == (409, "account_frozen")
    assert person.get("/me").json["nickname"] == "满天星"


def test_what_is_owed_is_owed_no_more(person, as_staff):
    clerk = as_staff("clerk-a")
    by_hand(sa.update(Account).where(Account.member_id == person.id).values(state="open"))
    receipt = {"member_id": person.id, "receipt_no": "r-2", "amount_fen": 100_000}
    bought = clerk.post("/clerk/purchases", receipt).json["id"]
    points = person.get("/me/card").json["points"]["available"]
    with_all = {"points": -points, "reason": "更正"}
    as_staff("owner").post(f"/admin/members/{person.id}/points-adjustments", with_all)
    clerk.post(f"/clerk/purchases/{bought}/refunds", {"amount_fen": 100_000})
    assert person.get("/me/closure").json["debt_points"] > 0

    assert close(person).status_code == 200

    assert one(Account.debt_points, Account.member_id == person.id) == 0 and wrong() == []


@pytest.mark.covers("A13")
def test_staff_close_an_account_on_a_written_request(person, admin, as_staff):
    path = f"/admin/members/{person.id}/closure"

    answer = admin.post(path, {"reason": "书面申请"})

    assert answer.status_code == 200 and one(Closure.actor).startswith("staff:")
    assert person.get("/me").status_code == 401
    (noted,) = as_staff("owner").get("/admin/audit?action=member.close").json["items"]
    assert (noted["before"]["state"], noted["after"]["state"]) == ("open", "closed")
    assert code(admin.post(path, {"reason": "再次"})) == (403, "member_closed")


def test_x28_closing_while_everything_else_goes_on_loses_nothing(app, person, a_reward):
    reward = a_reward(price_points=10, units=8).id
    now = clock.now()

    def shut():
        key = a_key(person.id, route="closure")
        return privacy.close(person.id, seen_points=None, actor="member:1", key=key, now=now)

    acts = [lambda: redemptions.redeem(ask(person.id, reward), now=now) for _ in range(5)]
    outcomes = together(app, [*acts, shut, *acts[:2]])

    assert sum(getattr(each, "status", None) == 200 for each in outcomes) == 1
    assert wrong() == []
    assert rows(Account.state, Account.balance_points, where=[Account.member_id == person.id]) == [
        ("closed", 0)
    ]
    assert one(Reward.units_left, Reward.id == reward) == 8
    assert db.session.scalars(vouchers.usable(person.id, now=now)).all() == []


@pytest.mark.covers("A13")
def test_a_copy_has_everything_there_is_of_a_member(person):
    answer = person.get("/me/export")

    copy = answer.json
    assert "attachment" in answer.headers["Content-Disposition"]
    assert copy["profile"]["phone"] == PHONE and copy["profile"]["nickname"] == "满天星"
    text = answer.get_data(as_text=True)
    for told in ("韩梅梅", "桂花弄九号", REVIEW, "1991-03-07"):
        assert told in text
    assert len(copy["records"]["redemptions"]) == 3 and len(copy["records"]["vouchers"]) == 2
    assert copy["records"]["ledger_entries"] and copy["records"]["profile_changes"]
    for secret in ("request_key", "code_hmac", "phone_hash", "nonce"):
        assert secret not in text


def test_every_table_that_names_a_member_is_in_the_copy_or_left_out_for_a_reason(app):
    naming = {
        table.name
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in ("members", "accounts")
    }
    told = {table.name for table in export.exported()}

    assert naming - told - set(export.LEFT_OUT) == set()
    assert set(export.LEFT_OUT) & told == set() and all(export.LEFT_OUT.values())


def test_a_copy_is_of_nobody_else(person, as_shopper):
    copy = as_shopper("another").get("/me/export").get_data(as_text=True)

    assert [each for each in CANARIES if each in copy] == []


def test_a_policy_has_versions_and_the_last_word_counts(as_shopper, admin, anybody):
    shopper = as_shopper("one")
    admin.post("/admin/policies", POLICY)
    (asked,) = shopper.get("/me/consents").json["items"]
    assert (asked["version"], asked["needed"], asked["granted"]) == (1, True, False)

    say = {"kind": "privacy", "version": 1}
    shopper.post("/me/consents", {**say, "granted": True})
    last = shopper.post("/me/consents", {**say, "granted": False}).json
    assert (last["granted"], last["needed"], last["said_version"]) == (False, False, 1)
    admin.post("/admin/policies", {**POLICY, "body_zh": "新的说明"})

    (asked,) = shopper.get("/me/consents").json["items"]
    assert (asked["version"], asked["needed"], asked["said_version"]) == (2, True, 1)
    assert code(shopper.post("/me/consents", {**say, "granted": True})) == (409, "policy_unknown")
    assert [each["body_zh"] for each in anybody.get("/policies").json["items"]] == ["新的说明"]
    assert count(Consent) == 2
