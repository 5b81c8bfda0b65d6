"""Asking twice with one key is asking once, on every POST."""

import json
import secrets
from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import clock, idempotency, shop, staff
from models import Alarm, IdempotencyKey, Member, Redemption, Referral, db
from tests.blueprints.routes import CALLS, FILES, POLICY, REWARD, TASK, TEMPLATE
from tests.conftest import PASSWORD
from tests.makers import grant, otp
from tests.mall.books import by_hand

KEYLESS = {  # the contract's own list: auth/*, check-ins, scans and imports
    "POST /auth/wechat",
    "POST /auth/staff",
    "POST /auth/me/password",
    "POST /auth/me/second-factor",
    "POST /auth/me/second-factor/confirmation",
    "POST /auth/me/second-factor/removal",
    "POST /me/checkins",
    "POST /clerk/scans",
    "POST /admin/imports/members",
    "POST /admin/imports/purchases",
}
POSTS = [call for call in (*CALLS, *FILES) if call.method == "POST"]
CHECK_IN = {"code": "in", "title": "签到", "title_en": "Sign in", "counts": "check_in"}
CSV = "external_id,nickname\nE1,小明\n"


class Scenario:
    """Requests that are granted, each with another body that the same key must not be used for."""

    def __init__(self, shop, redeem, stores, as_shopper, as_staff, anybody):
        self.shop, self.redeem, self.stores = shop, redeem, stores
        self.as_shopper, self.as_staff, self.anybody = as_shopper, as_staff, anybody

    def wechat_log_in(self):
        return self.anybody, "/auth/wechat", {"code": "user-new"}, {"code": "user-other"}

    def staff_log_in(self):
        body = {"username": "clerk-a", "password": "a long password"}
        return self.anybody, "/auth/staff", body, {**body, "otp": "1"}

    def changed_password(self):
        body = {"password": PASSWORD, "new_password": "quite another one"}
        return (
            self.as_staff("manager-a"),
            "/auth/me/password",
            body,
            {**body, "new_password": "xyz"},
        )

    def begun_second_factor(self):
        body = {"password": PASSWORD}
        return self.as_staff("clerk-b"), "/auth/me/second-factor", body, {"password": "p"}

    def confirmed_second_factor(self):
        clerk = self.as_staff("analyst")
        begun = clerk.post("/auth/me/second-factor", {"password": PASSWORD}).json
        body = {"otp": otp(begun["secret"])}
        return clerk, "/auth/me/second-factor/confirmation", body, {"otp": "1"}

    def removed_second_factor(self):
        who = {"username": "careful", "name": "小李", "role": "analyst", "store_id": None}
        staff.hire(**who, password=PASSWORD, now=clock.now())
        clerk = self.as_staff("careful")
        secret = clerk.post("/auth/me/second-factor", {"password": PASSWORD}).json["secret"]
        clerk.post("/auth/me/second-factor/confirmation", {"otp": otp(secret, -30)})
        body = {"password": PASSWORD, "otp": otp(secret)}
        return clerk, "/auth/me/second-factor/removal", body, {**body, "otp": "1"}

    def seen_phone(self):
        path = f"/admin/members/{self.shop['shopper'].id}/phone-views"
        return self.shop["admin"], path, {"reason": "回访"}, {"reason": "核实"}

    def policy(self):
        return self.shop["admin"], "/admin/policies", POLICY, {**POLICY, "title_zh": "协议"}

    def said(self):
        version = self.shop["admin"].post("/admin/policies", {**POLICY, "kind": "terms"}).json
        body = {"kind": "terms", "version": version["version"], "granted": True}
        return self.shop["shopper"], "/me/consents", body, {**body, "granted": False}

    def closed(self):
        return self.as_shopper("leaver"), "/me/closure", {"points": 0}, {"points": 1}

    def closed_by_staff(self):
        path = f"/admin/members/{self.as_shopper('gone').id}/closure"
        return self.shop["admin"], path, {"reason": "书面申请"}, {"reason": "别的"}

    def hired(self):
        body = {"username": "new", "name": "小王", "role": "analyst"}
        return self.shop["admin"], "/admin/staff", body, {**body, "name": "小李"}

    def _new(self, username):
        body = {"username": username, "name": "小王", "role": "analyst"}
        return self.shop["admin"].post("/admin/staff", body).json["id"]

    def reset_password(self):
        return self.shop["admin"], f"/admin/staff/{self._new('forgetful')}/password-reset", {}, None

    def lost_phone(self):
        path = f"/admin/staff/{self._new('unlucky')}/second-factor-removal"
        return self.shop["admin"], path, {}, None

    def phone(self):
        body = {"code": "phone-13800000001"}
        return self.shop["shopper"], "/me/phone", body, {"code": "phone-13800000002"}

    def check_in(self):
        return self.shop["shopper"], "/me/checkins", {}, None

    def made_up_day(self):
        by_hand(sa.update(Member).values(joined_at=clock.now() - timedelta(days=9)))
        yesterday, other = (clock.business_day(clock.now()) - timedelta(days=n) for n in (1, 2))
        path = "/me/checkins/make-ups"
        return self.shop["shopper"], path, {"day": str(yesterday)}, {"day": str(other)}

    def ladder(self):
        body = {"items": [{"points": 1}]}
        return self.shop["admin"], "/admin/checkin-rules", body, {"items": []}

    def outage(self):
        day = clock.business_day(clock.now()) - timedelta(days=9)
        body = {"day": str(day), "note": "断电"}
        return self.shop["admin"], "/admin/outages", body, {**body, "note": "火灾"}

    def bundle(self):
        body = {"code": "other", "name": "礼包", "points": 1}
        return self.shop["admin"], "/admin/bundles", body, {**body, "points": 2}

    def setting(self):
        path = "/admin/settings/make_ups_per_month"
        return self.shop["admin"], path, {"value": 4}, {"value": 5}

    def earning_rule(self):
        body = {"code": "new", "name": "新规则", "rate": {"points": 1}}
        return self.shop["admin"], "/admin/earning-rules", body, {**body, "name": "旧规则"}

    def publication(self):
        body = {"code": "draft", "name": "草稿", "rate": {"points": 1}}
        draft = self.shop["admin"].post("/admin/earning-rules", body).json["id"]
        return self.shop["admin"], f"/admin/earning-rules/{draft}/publication", {}, None

    def referral_rule(self):
        body = {"terms": {"attribution_days": 7}, "note": "新规"}
        return self.shop["admin"], "/admin/referral-rules", body, {**body, "note": "旧规"}

    def referral_publication(self):
        draft = self.shop["admin"].post("/admin/referral-rules", {"terms": {}}).json["id"]
        return self.shop["admin"], f"/admin/referral-rules/{draft}/publication", {}, None

    def referral_review(self):
        friend = self.shop["friends"][0].id
        held = {"held_at": clock.now(), "holds": ["device"], "state": "joined"}
        by_hand(sa.update(Referral).where(Referral.invitee_id == friend).values(**held))
        body = {"approved": True, "reason": "家人共用"}
        path = f"/admin/referrals/{friend}/review"
        return self.shop["admin"], path, body, {**body, "approved": False}

    def channel(self):
        body = {"code": "new", "name": "海报", "kind": "online"}
        return self.shop["admin"], "/admin/channels", body, {**body, "name": "传单"}

    def channel_change(self):
        body = {"code": "changed", "name": "海报", "kind": "online"}
        made = self.shop["admin"].post("/admin/channels", body).json["id"]
        return self.shop["admin"], f"/admin/channels/{made}", {"owner": "小王"}, {"owner": "小李"}

    def touch(self):
        body = {"invite_code": self.shop["invite_code"], "device": "a-device-1"}
        return self.anybody, "/touches", body, {**body, "device": "a-device-2"}

    def dry_run(self):
        body = {"member_id": self.shop["shopper"].id, "amount_fen": 100}
        return self.shop["admin"], "/admin/earning-rules/dry-runs", body, {**body, "amount_fen": 1}

    def back_test(self):
        rule = {"code": "tried", "name": "草稿", "rate": {"points": 1}}
        draft = self.shop["admin"].post("/admin/earning-rules", rule).json["id"]
        body = {"draft_ids": [draft], "first_day": "2026-01-01", "last_day": "2026-01-02"}
        other = {**body, "last_day": "2026-01-03"}
        return self.shop["admin"], "/admin/earning-rules/back-tests", body, other

    def task(self):
        body = {**TASK, "code": "new", "steps": [CHECK_IN]}
        return self.shop["admin"], "/admin/tasks", body, {**body, "points": 2}

    def task_publication(self):
        draft = self.shop["admin"].post("/admin/tasks", {**TASK, "code": "d", "steps": [CHECK_IN]})
        return self.shop["admin"], f"/admin/tasks/{draft.json['id']}/publication", {}, None

    def task_retirement(self):
        body = {**TASK, "code": "old", "steps": [CHECK_IN], "publish": True}
        made = self.shop["admin"].post("/admin/tasks", body).json["id"]
        return self.shop["admin"], f"/admin/tasks/{made}/retirement", {}, None

    def claim(self):
        body = {**TASK, "code": "claimed", "steps": [CHECK_IN], "publish": True}
        task = self.shop["admin"].post("/admin/tasks", body).json["task_id"]
        self.shop["friends"][0].post("/me/checkins", {})
        path = f"/me/tasks/{task}/claims"
        return self.shop["friends"][0], path, {}, {"period_key": "once"}

    def shoppers_review(self):
        receipt = {"member_id": self.shop["shopper"].id, "receipt_no": "R-v", "amount_fen": 900}
        made = self.shop["clerk"].post("/clerk/purchases", receipt).json["id"]
        body = {"purchase_id": made, "rating": 5, "text": "很好喝，下次还要再来"}
        return self.shop["shopper"], "/me/reviews", body, {**body, "rating": 4}

    def review_decision(self):
        path = f"/admin/reviews/{self.shop['reviews'][0]['id']}/decision"
        return self.shop["admin"], path, {"approved": True}, {"approved": False, "note": "不当"}

    def template(self):
        body = {**TEMPLATE, "is_on": False}
        return self.shop["admin"], "/admin/message-templates", body, TEMPLATE

    def template_publication(self):
        draft = self.shop["admin"].post("/admin/message-templates", TEMPLATE).json["id"]
        return self.shop["admin"], f"/admin/message-templates/{draft}/publication", {}, None

    def reading(self):
        return self.shop["shopper"], "/me/messages/reads", {"last_id": 1}, {"last_id": 2}

    def redemption(self):
        body = {"reward_id": self.shop["rewards"][0].id, "quantity": 1}
        return self.shop["shopper"], "/me/redemptions", body, {**body, "quantity": 2}

    def cancellation(self):
        done = self.shop["redemptions"][0]["id"]
        return self.shop["shopper"], f"/me/redemptions/{done}/cancellation", {}, None

    def member_scan(self):
        payload = self.shop["shopper"].get("/me/card").json["code"]["payload"]
        return self.shop["clerk"], "/clerk/scans", {"code": payload}, {"code": "888800000000"}

    def voucher_scan(self):
        code = self.shop["redemptions"][2]["voucher"]["code"]
        return self.shop["clerk"], "/clerk/scans", {"code": code}, {"code": "888800000000"}

    def purchase(self):
        body = {"member_id": self.shop["shopper"].id, "receipt_no": "R1", "amount_fen": 100}
        return self.shop["clerk"], "/clerk/purchases", body, {**body, "amount_fen": 200}

    def pickup(self):
        rule = {"code": "collect", "name": "自提", "rate": {"points": 1}, "award": "pickup"}
        self.shop["admin"].post("/admin/earning-rules", {**rule, "publish": True})
        body = {"member_id": self.shop["shopper"].id, "receipt_no": "R-p", "amount_fen": 900}
        made = self.shop["clerk"].post("/clerk/purchases", {**body, "awaits_pickup": True}).json
        return self.shop["clerk"], f"/clerk/purchases/{made['id']}/pickup", {}, None

    def refund(self):
        receipt = {"member_id": self.shop["shopper"].id, "receipt_no": "R-back", "amount_fen": 900}
        made = self.shop["clerk"].post("/clerk/purchases", receipt).json["id"]
        path = f"/clerk/purchases/{made}/refunds"
        return self.shop["clerk"], path, {"amount_fen": 300}, {"amount_fen": 200}

    def transfer(self):
        shop.tune("transfer_points_per_day", 100)
        body = {"card_no": self.shop["friends"][0].get("/me").json["card_no"], "points": 3}
        return self.shop["shopper"], "/me/transfers", body, {**body, "points": 4}

    def hold(self):
        path = f"/admin/members/{self.shop['shopper'].id}/holds"
        body = {"points": 5, "reason": "争议"}
        return self.shop["admin"], path, body, {**body, "points": 6}

    def hold_posting(self):
        admin, path, body, _ = self.hold()
        return admin, f"/admin/holds/{admin.post(path, body).json['id']}/posting", {}, None

    def hold_voiding(self):
        admin, path, body, _ = self.hold()
        return admin, f"/admin/holds/{admin.post(path, body).json['id']}/voiding", {}, None

    def alarm_clearance(self):
        member_id = self.shop["shopper"].id
        figures = {"expected": "1", "actual": "2", "found_at": clock.now()}
        named = {"check_name": "held_is_sum_of_holds", "subject": "account"}
        db.session.add(Alarm(**named, **figures, subject_id=member_id, member_id=member_id))
        db.session.commit()
        alarm = db.session.scalar(sa.select(Alarm.id))
        path = f"/admin/ledger/alarms/{alarm}/clearance"
        return self.shop["admin"], path, {"note": "已核对"}, {"note": "再核对"}

    def voucher_use(self):
        code = self.shop["redemptions"][1]["voucher"]["code"]
        return self.shop["clerk"], f"/clerk/vouchers/{code}/use", {}, None

    def new_reward(self):
        return self.shop["admin"], "/admin/rewards", REWARD, {**REWARD, "title": "碗"}

    def stock_move(self):
        path = f"/admin/rewards/{self.shop['rewards'][0].id}/stock-moves"
        body = {"quantity": 5, "reason": "purchase"}
        return self.shop["admin"], path, body, {**body, "quantity": 6}

    def stock_transfer(self):
        admin = self.shop["admin"]
        ends = [row["id"] for row in admin.get("/admin/stores").json["items"][:2]]
        cup = {**REWARD, "stock_by_store": True}
        path = f"/admin/rewards/{admin.post('/admin/rewards', cup).json['id']}"
        stock = {"quantity": 9, "reason": "purchase", "store_id": ends[0]}
        assert admin.post(f"{path}/stock-moves", stock).status_code == 201
        body = {"from_store_id": ends[0], "to_store_id": ends[1], "quantity": 2}
        return admin, f"{path}/stock-transfers", body, {**body, "quantity": 3}

    def adjustment(self):
        path = f"/admin/members/{self.shop['shopper'].id}/points-adjustments"
        body = {"points": 10, "reason": "补偿"}
        return self.shop["admin"], path, body, {**body, "points": 11}

    def large_adjustment(self):
        caller, path, body, other = self.adjustment()
        return caller, path, {**body, "points": 1_000_000}, other

    def review(self):
        path = f"/admin/points-adjustments/{self.shop['adjustments'][0]['id']}/review"
        return self.as_staff("owner"), path, {"approved": True}, {"approved": False}

    def shipment(self):
        admin, shopper = self.shop["admin"], self.shop["shopper"]
        reward = admin.post("/admin/rewards", {**REWARD, "kind": "delivery", "price_fen": 0}).json
        stock = {"quantity": 1, "reason": "purchase"}
        admin.post(f"/admin/rewards/{reward['id']}/stock-moves", stock)
        address = {"name": "小明", "phone": "13800000001", "region": "上海", "detail": "1 号"}
        asked = {"reward_id": reward["id"], "quantity": 1, "address": address}
        done = shopper.post("/me/redemptions", asked).json["id"]
        parcel = {"carrier": "顺丰", "tracking_no": "SF1"}
        other = {**parcel, "tracking_no": "SF2"}
        return admin, f"/admin/redemptions/{done}/shipment", parcel, other

    def store(self):
        body = {"code": "N", "name": "新店"}
        return self.shop["admin"], "/admin/stores", body, {**body, "code": "M"}

    def member_import(self):
        return self.shop["admin"], "/admin/imports/members", CSV, CSV + "E2,小红\n"

    def purchase_import(self):
        header = "external_id,store_code,receipt_no,amount_fen,paid_at\n"
        row = "E1,A,R1,100,2026-01-01T10:00:00+08:00\n"
        return self.shop["admin"], "/admin/imports/purchases", header, header + row


REQUESTS = [name for name in vars(Scenario) if not name.startswith("_")]


@pytest.fixture
def scenario(mid_month, busy_shop, redeem, stores, as_shopper, as_staff, anybody):
    return Scenario(busy_shop, redeem, stores, as_shopper, as_staff, anybody)


def post(caller, path, body, *, key):
    if isinstance(body, str):
        headers = {"Content-Type": "text/csv"}
        return caller.post(path, data=body.encode(), headers=headers, key=key)
    return caller.post(path, body, key=key)


def three_times(caller, path, body, other):
    """A request, the same again, and another with the same key (None where there is no other)."""
    key = secrets.token_hex(16)
    first, second = (post(caller, path, body, key=key) for _ in range(2))
    return first, second, None if other is None else post(caller, path, other, key=key)


def said(answer):
    return answer.status_code, answer.json["code"]


def test_every_post_is_tried_here_and_needs_a_key_where_the_contract_says_so(contract):
    documented = {
        f"POST {path.removeprefix('/api/v1')}": next(
            header["required"]
            for header in item["post"]["parameters"]
            if header["name"] == "Idempotency-Key"
        )
        for path, item in contract.document["paths"].items()
        if "post" in item
    }

    optional = {name for name, required in documented.items() if not required}

    assert optional == KEYLESS
    assert len(documented) == len(POSTS)


def test_a_key_is_asked_for_by_every_post_but_those(as_role):
    asked = {call.name: as_role(call.role).post(call.path, call.body, key=None) for call in POSTS}

    missing = {
        name
        for name, answer in asked.items()
        if answer.status_code == 400 and answer.json["code"] == "idempotency_key_missing"
    }

    assert missing == {call.name for call in POSTS} - KEYLESS


def test_a_malformed_key_is_told_from_a_missing_one_on_every_post(as_role):
    wrong = ["", "a" * 15, "a" * 65, "a" * 15 + " ", "a" * 15 + ".", "é" * 16]

    asked = [
        as_role(call.role).post(call.path, call.body, key=key) for call in POSTS for key in wrong
    ]

    assert {said(answer) for answer in asked} == {(400, "idempotency_key_invalid")}


def test_the_shortest_and_the_longest_key_will_do(as_role):
    shopper = as_role("shopper")

    answers = [shopper.post("/me/checkins", key=key) for key in ("aZ09_-" + "a" * 10, "-" * 64)]

    assert [answer.status_code for answer in answers] == [201, 200]


@pytest.mark.covers("E2", "G2")
def test_the_second_answer_is_the_first_byte_for_byte(scenario):
    asked = {name: getattr(scenario, name)() for name in REQUESTS}

    replays = {name: three_times(*request) for name, request in asked.items()}

    assert {
        name: first.json for name, (first, _, _) in replays.items() if first.status_code > 202
    } == {}
    assert {
        name
        for name, (first, second, _) in replays.items()
        if (first.status_code, first.data) != (second.status_code, second.data)
    } == set()
    assert {second.headers.get("Idempotent-Replayed") for _, second, _ in replays.values()} == {
        "true"
    }
    assert {first.headers.get("Idempotent-Replayed") for first, _, _ in replays.values()} == {None}
    assert {said(other) for _, _, other in replays.values() if other is not None} == {
        (422, "idempotency_key_reused")
    }


def test_a_redemption_asked_for_twice_pays_once_and_shows_its_code_twice(scenario):
    caller, path, body, _ = scenario.redemption()
    key, before = secrets.token_hex(16), caller.get("/me/card").json["points"]["available"]

    first, second = caller.post(path, body, key=key), caller.post(path, body, key=key)

    assert first.json["voucher"]["code"] == second.json["voucher"]["code"]
    assert caller.get("/me/card").json["points"]["available"] == before - 10
    kept = db.session.scalar(sa.select(Redemption.id).where(Redemption.request_key == key))
    assert kept == first.json["id"]


def test_a_key_stands_for_a_path_too(scenario):
    shopper, path, _, _ = scenario.cancellation()
    other = f"/me/redemptions/{scenario.shop['redemptions'][1]['id']}/cancellation"
    key = secrets.token_hex(16)

    first, second = shopper.post(path, key=key), shopper.post(other, key=key)

    assert first.status_code == 200
    assert said(second) == (422, "idempotency_key_reused")


def test_a_key_stands_for_a_query_too(scenario):
    admin, path, body, _ = scenario.member_import()
    key = secrets.token_hex(16)

    first, second = (
        post(admin, f"{path}?dry_run=true", body, key=key),
        post(admin, path, body, key=key),
    )

    assert (first.status_code, first.json["dry_run"]) == (200, True)
    assert said(second) == (422, "idempotency_key_reused")


def test_white_space_and_the_order_of_fields_make_no_other_body(scenario):
    caller, path, body, _ = scenario.redemption()
    key = secrets.token_hex(16)
    turned = json.dumps(dict(reversed(body.items())), indent=4).encode()

    first = caller.post(path, body, key=key)
    second = caller.post(path, data=turned, headers={"Content-Type": "application/json"}, key=key)

    assert (second.status_code, second.data) == (201, first.data)


def test_a_key_belongs_to_its_caller(as_shopper, a_reward):
    one, two = as_shopper("one"), as_shopper("two")
    reward, key = a_reward(price_points=0, units=2), secrets.token_hex(16)
    body = {"reward_id": reward.id, "quantity": 1}

    answers = [caller.post("/me/redemptions", body, key=key) for caller in (one, two)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json["id"] != answers[1].json["id"]
    assert all("Idempotent-Replayed" not in answer.headers for answer in answers)


def test_a_key_belongs_to_its_route(scenario):
    shopper, path, body, _ = scenario.redemption()
    key = secrets.token_hex(16)

    first, second = shopper.post(path, body, key=key), shopper.post("/me/checkins", key=key)

    assert (first.status_code, second.status_code) == (201, 201)
    assert "Idempotent-Replayed" not in second.headers


def test_a_refusal_is_not_kept_and_is_judged_anew(as_shopper, a_reward):
    shopper, reward, key = as_shopper("poor"), a_reward(price_points=100), secrets.token_hex(16)
    body = {"reward_id": reward.id, "quantity": 1}

    refused = shopper.post("/me/redemptions", body, key=key)
    grant(shopper.id, 100)
    granted = shopper.post("/me/redemptions", body, key=key)

    assert said(refused) == (409, "not_enough_points")
    assert (granted.status_code, granted.json["points_paid"]) == (201, 100)
    assert "Idempotent-Replayed" not in granted.headers


def test_a_key_that_was_refused_may_be_used_with_another_body(as_shopper, a_reward):
    shopper, dear, free = as_shopper("poor"), a_reward(price_points=100), a_reward(price_points=0)
    key = secrets.token_hex(16)

    refused = shopper.post("/me/redemptions", {"reward_id": dear.id, "quantity": 1}, key=key)
    granted = shopper.post("/me/redemptions", {"reward_id": free.id, "quantity": 1}, key=key)

    assert (refused.status_code, granted.status_code) == (409, 201)


def test_while_the_first_is_still_running_the_second_is_asked_to_wait(scenario):
    caller, path, body, _ = scenario.purchase()
    key = secrets.token_hex(16)
    caller.post(path, body, key=key)
    change_kept(key, state="running", status=None, body=None)

    answer = caller.post(path, body, key=key)

    assert said(answer) == (409, "idempotency_key_in_progress")
    assert int(answer.headers["Retry-After"]) >= 1


def test_after_a_week_the_answer_is_gone_and_the_key_still_spent(scenario):
    caller, path, body, _ = scenario.purchase()
    key = secrets.token_hex(16)
    caller.post(path, body, key=key)
    idempotency.prune(now=clock.now() + timedelta(days=7, seconds=1))

    answer = caller.post(path, body, key=key)

    assert said(answer) == (409, "idempotency_key_expired")


def test_within_a_week_the_answer_is_still_there(scenario):
    caller, path, body, _ = scenario.purchase()
    key = secrets.token_hex(16)
    first = caller.post(path, body, key=key)
    idempotency.prune(now=clock.now() + timedelta(days=6, hours=23))

    answer = caller.post(path, body, key=key)

    assert (answer.status_code, answer.data) == (201, first.data)


@pytest.mark.covers("D1")
def test_a_check_in_with_a_key_answers_for_its_own_day_for_ever(app, as_shopper):
    shopper, key = as_shopper("daily"), secrets.token_hex(16)
    shopper.post("/me/checkins", key=None)
    second = shopper.post("/me/checkins", key=key)
    app.config["CLOCK_OFFSET_S"] = 86_400

    tomorrow = as_shopper("daily").post("/me/checkins", key=key)

    assert (second.status_code, second.json["already"]) == (200, True)
    assert (tomorrow.status_code, tomorrow.data) == (200, second.data)
    assert tomorrow.headers["Idempotent-Replayed"] == "true"


def change_kept(key: str, **values) -> None:
    """Change what is kept of a key, past every rule of ours."""
    db.session.rollback()
    with db.engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(
            sa.update(IdempotencyKey).where(IdempotencyKey.key == key).values(**values)
        )
