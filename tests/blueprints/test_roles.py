"""Who may call what: every route of the application against every role."""

import pytest
from flask import Flask

from tests.blueprints.conftest import ROLES
from tests.caller import Caller

ALL = set(ROLES)
SHOPPER = {"shopper"}
TILL = {"clerk", "manager"}
OFFICE = {"admin", "owner"}
READING = OFFICE | {"analyst"}
STAFF = TILL | READING

ALLOWED = {
    "GET /": ALL,
    "GET /home/<path:name>": ALL,
    "GET /livez": ALL,
    "GET /readyz": ALL,
    "GET /metrics": ALL,
    "GET /api/docs": ALL,
    "GET /api/docs/": ALL,
    "GET /api/docs/<path:name>": ALL,
    "GET /api/openapi.json": ALL,
    "POST /api/v1/auth/wechat": ALL,
    "POST /api/v1/auth/staff": ALL,
    "GET /api/v1/auth/me": STAFF,
    "POST /api/v1/auth/me/password": STAFF,
    "POST /api/v1/auth/me/second-factor": STAFF,
    "POST /api/v1/auth/me/second-factor/confirmation": STAFF,
    "POST /api/v1/auth/me/second-factor/removal": STAFF,
    "DELETE /api/v1/auth/me/session": STAFF,
    "DELETE /api/v1/auth/me/sessions": STAFF,
    "GET /api/v1/policies": ALL,
    "GET /api/v1/me/consents": SHOPPER,
    "POST /api/v1/me/consents": SHOPPER,
    "GET /api/v1/me/export": SHOPPER,
    "GET /api/v1/me/closure": SHOPPER,
    "POST /api/v1/me/closure": SHOPPER,
    "GET /api/v1/admin/policies": READING,
    "POST /api/v1/admin/policies": OFFICE,
    "POST /api/v1/admin/members/<id:member_id>/closure": OFFICE,
    "POST /api/v1/touches": ALL,
    "GET /api/v1/wxacodes/<string(length=8):invite_code>.png": ALL,
    "GET /api/v1/me": SHOPPER,
    "PATCH /api/v1/me": SHOPPER,
    "POST /api/v1/me/phone": SHOPPER,
    "GET /api/v1/me/card": SHOPPER,
    "GET /api/v1/me/points/entries": SHOPPER,
    "POST /api/v1/me/checkins": SHOPPER,
    "GET /api/v1/me/checkins": SHOPPER,
    "POST /api/v1/me/checkins/make-ups": SHOPPER,
    "GET /api/v1/rewards": SHOPPER,
    "GET /api/v1/rewards/<id:reward_id>": SHOPPER,
    "GET /api/v1/rewards/<id:reward_id>/stores": SHOPPER,
    "POST /api/v1/me/redemptions": SHOPPER,
    "GET /api/v1/me/redemptions": SHOPPER,
    "GET /api/v1/me/redemptions/<id:redemption_id>": SHOPPER,
    "POST /api/v1/me/redemptions/<id:redemption_id>/cancellation": SHOPPER,
    "POST /api/v1/me/transfers": SHOPPER,
    "GET /api/v1/me/vouchers": SHOPPER,
    "GET /api/v1/me/gifts": SHOPPER,
    "GET /api/v1/me/referral": SHOPPER,
    "GET /api/v1/me/referrals": SHOPPER,
    "POST /api/v1/clerk/scans": TILL,
    "POST /api/v1/clerk/purchases": TILL,
    "POST /api/v1/clerk/purchases/<id:purchase_id>/refunds": TILL,
    "POST /api/v1/clerk/vouchers/<string:code>/use": TILL,
    "GET /api/v1/me/assets": SHOPPER,
    "GET /api/v1/me/purchases": SHOPPER,
    "GET /api/v1/admin/purchases": READING,
    "GET /api/v1/admin/points-campaigns": READING,
    "POST /api/v1/admin/points-campaigns": OFFICE,
    "POST /api/v1/admin/points-campaigns/<id:campaign_id>/preview": OFFICE,
    "POST /api/v1/admin/points-campaigns/<id:campaign_id>/run": OFFICE,
    "POST /api/v1/admin/points-campaigns/<id:campaign_id>/review": OFFICE,
    "GET /api/v1/clerk/actions": TILL,
    "POST /api/v1/clerk/actions/<id:action_id>/undo": TILL,
    "GET /api/v1/admin/staff": OFFICE,
    "POST /api/v1/admin/staff": OFFICE,
    "PATCH /api/v1/admin/staff/<id:staff_id>": OFFICE,
    "POST /api/v1/admin/staff/<id:staff_id>/password-reset": OFFICE,
    "POST /api/v1/admin/staff/<id:staff_id>/second-factor-removal": OFFICE,
    "GET /api/v1/admin/audit": OFFICE,
    "GET /api/v1/admin/audit/verification": OFFICE,
    "GET /api/v1/admin/rewards": READING,
    "POST /api/v1/admin/rewards": OFFICE,
    "GET /api/v1/admin/rewards/<id:reward_id>": READING,
    "PATCH /api/v1/admin/rewards/<id:reward_id>": OFFICE,
    "POST /api/v1/admin/rewards/<id:reward_id>/stock-moves": OFFICE,
    "POST /api/v1/admin/rewards/<id:reward_id>/stock-transfers": OFFICE,
    "GET /api/v1/admin/rewards/<id:reward_id>/stock": READING,
    "GET /api/v1/admin/rewards/<id:reward_id>/store-moves": READING,
    "GET /api/v1/admin/redemptions": READING,
    "POST /api/v1/admin/redemptions/<id:redemption_id>/shipment": OFFICE,
    "GET /api/v1/admin/members": READING,
    "GET /api/v1/admin/members/<id:member_id>": READING,
    "POST /api/v1/admin/members/<id:member_id>/points-adjustments": OFFICE,
    "PATCH /api/v1/admin/members/<id:member_id>": OFFICE,
    "POST /api/v1/admin/members/<id:member_id>/phone-views": OFFICE,
    "GET /api/v1/admin/members/<id:member_id>/profile-changes": READING,
    "GET /api/v1/admin/members/duplicates": READING,
    "GET /api/v1/admin/members/<id:member_id>/merge": READING,
    "POST /api/v1/admin/members/<id:member_id>/merge": OFFICE,
    "GET /api/v1/admin/points-adjustments": READING,
    "POST /api/v1/admin/points-adjustments/<id:adjustment_id>/review": OFFICE,
    "POST /api/v1/admin/members/<id:member_id>/holds": OFFICE,
    "GET /api/v1/admin/holds": READING,
    "POST /api/v1/admin/holds/<id:hold_id>/posting": OFFICE,
    "POST /api/v1/admin/holds/<id:hold_id>/voiding": OFFICE,
    "GET /api/v1/admin/ledger/alarms": READING,
    "POST /api/v1/admin/ledger/alarms/<id:alarm_id>/clearance": OFFICE,
    "POST /api/v1/admin/imports/members": OFFICE,
    "POST /api/v1/admin/imports/purchases": OFFICE,
    "GET /api/v1/admin/ledger/verification": READING,
    "GET /api/v1/admin/stores": READING,
    "POST /api/v1/admin/stores": OFFICE,
    "GET /api/v1/admin/tiers": READING,
    "GET /api/v1/admin/jobs": READING,
    "GET /api/v1/admin/settings": READING,
    "POST /api/v1/admin/settings/<string:name>": OFFICE,
    "GET /api/v1/admin/setting-changes": READING,
    "POST /api/v1/admin/tiers": OFFICE,
    "GET /api/v1/admin/tiers/<string:code>": READING,
    "PATCH /api/v1/admin/tiers/<string:code>": OFFICE,
    "GET /api/v1/admin/tier-rules": READING,
    "POST /api/v1/admin/tier-rules": OFFICE,
    "GET /api/v1/admin/tier-rules/<id:rule_id>": READING,
    "PATCH /api/v1/admin/tier-rules/<id:rule_id>": OFFICE,
    "GET /api/v1/admin/tier-rules/<id:rule_id>/preview": READING,
    "POST /api/v1/admin/tier-rules/<id:rule_id>/publication": OFFICE,
    "GET /api/v1/admin/tier-grants": READING,
    "POST /api/v1/admin/members/<id:member_id>/tier-grants": OFFICE,
    "POST /api/v1/admin/tier-grants/<id:grant_id>/revocation": OFFICE,
    "GET /api/v1/admin/tier-changes": READING,
    "GET /api/v1/me/tier": SHOPPER,
    "GET /api/v1/me/tier/changes": SHOPPER,
    "GET /api/v1/me/benefits": SHOPPER,
    "GET /api/v1/clerk/members/<id:member_id>/benefits": TILL,
    "POST /api/v1/clerk/benefits/<string:code>/use": TILL,
    "GET /api/v1/clerk/benefit-uses/<id:use_id>": TILL,
    "POST /api/v1/clerk/benefit-uses/<id:use_id>/undo": TILL,
    "GET /api/v1/admin/tasks": READING,
    "POST /api/v1/admin/tasks": OFFICE,
    "PATCH /api/v1/admin/tasks/<id:version_id>": OFFICE,
    "POST /api/v1/admin/tasks/<id:version_id>/retirement": OFFICE,
    "GET /api/v1/admin/tasks/<id:version_id>/preview": READING,
    "POST /api/v1/admin/tasks/<id:version_id>/publication": OFFICE,
    "POST /api/v1/clerk/purchases/<id:purchase_id>/pickup": TILL,
    "GET /api/v1/me/tasks": SHOPPER,
    "POST /api/v1/me/tasks/<id:task_id>/claims": SHOPPER,
    "GET /api/v1/me/reviews": SHOPPER,
    "POST /api/v1/me/reviews": SHOPPER,
    "GET /api/v1/admin/reviews": READING,
    "POST /api/v1/admin/reviews/<id:review_id>/decision": OFFICE,
    "GET /api/v1/admin/message-occasions": READING,
    "GET /api/v1/admin/message-templates": READING,
    "POST /api/v1/admin/message-templates": OFFICE,
    "PATCH /api/v1/admin/message-templates/<id:template_id>": OFFICE,
    "GET /api/v1/admin/message-templates/<id:template_id>/preview": READING,
    "POST /api/v1/admin/message-templates/<id:template_id>/publication": OFFICE,
    "GET /api/v1/me/messages": SHOPPER,
    "POST /api/v1/me/messages/reads": SHOPPER,
    "GET /api/v1/admin/earning-rules": READING,
    "POST /api/v1/admin/earning-rules": OFFICE,
    "POST /api/v1/admin/earning-rules/<id:rule_id>/publication": OFFICE,
    "POST /api/v1/admin/earning-rules/dry-runs": OFFICE,
    "POST /api/v1/admin/earning-rules/back-tests": OFFICE,
    "GET /api/v1/admin/checkin-rules": READING,
    "POST /api/v1/admin/checkin-rules": OFFICE,
    "GET /api/v1/admin/outages": READING,
    "POST /api/v1/admin/outages": OFFICE,
    "GET /api/v1/admin/payment-rules": READING,
    "POST /api/v1/admin/payment-rules": OFFICE,
    "GET /api/v1/admin/points-payments": READING,
    "POST /api/v1/clerk/points-payments": TILL,
    "POST /api/v1/clerk/points-payments/<id:payment_id>/cancellation": TILL,
    "GET /api/v1/admin/expiry-policies": READING,
    "POST /api/v1/admin/expiry-policies": OFFICE,
    "POST /api/v1/admin/expiry-policies/previews": OFFICE,
    "GET /api/v1/admin/points-reminders": READING,
    "GET /api/v1/admin/bundles": READING,
    "POST /api/v1/admin/bundles": OFFICE,
    "GET /api/v1/admin/referral-rules": READING,
    "POST /api/v1/admin/referral-rules": OFFICE,
    "POST /api/v1/admin/referral-rules/<id:rule_id>/publication": OFFICE,
    "GET /api/v1/admin/referrals": READING,
    "POST /api/v1/admin/referrals/<id:friend_id>/review": OFFICE,
    "GET /api/v1/admin/channels": READING,
    "POST /api/v1/admin/channels": OFFICE,
    "POST /api/v1/admin/channels/<id:channel_id>": OFFICE,
    "GET /api/v1/admin/channels/report": READING,
}
IN_PATHS = {"name": "x.png", "invite_code": "22222222", "code": "x"}


def routes(app: Flask) -> dict[str, str]:
    """Every route, with a path that leads to it."""
    found = {}
    for rule in app.url_map.iter_rules():
        values = {name: IN_PATHS.get(name, 999) for name in rule.arguments}
        built = rule.build(values)
        assert built is not None
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            found[f"{method} {rule.rule}"] = built[1]
    return dict(
        sorted(found.items(), key=lambda each: each[0].endswith("/me/session"))
    )  # log-out last


def test_every_route_says_here_who_may_call_it(app):
    known = set(routes(app))

    missing, gone = known - set(ALLOWED), set(ALLOWED) - known

    assert (missing, gone) == (set(), set())


@pytest.mark.covers("K4")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says_and_nothing_else(role, app, as_role):
    caller: Caller = as_role(role)

    statuses = {
        name: call(caller, name.partition(" ")[0], path) for name, path in routes(app).items()
    }

    refused = 401 if role == "nobody" else 403
    let_in = {name for name, status in statuses.items() if status not in (401, 403)}
    assert let_in == {name for name, roles in ALLOWED.items() if role in roles}
    assert {statuses[name] for name in set(statuses) - let_in} == {refused}


def call(caller: Caller, method: str, path: str) -> int:
    """The status of a call whose body nobody can read: who is let in gets as far as that."""
    headers = {"Authorization": f"Bearer {caller.token}"} if caller.token else {}
    if method != "GET":
        headers |= {"Idempotency-Key": "a" * 16, "If-Match": '"1"'}
    with caller.app.test_client() as client:
        data = b"{" if method != "GET" else None
        return client.open(
            path, method=method, headers=headers, data=data, buffered=True
        ).status_code


@pytest.mark.covers("K4")
def test_an_analyst_may_look_but_not_touch(as_role, a_reward):
    analyst, reward = as_role("analyst"), a_reward()

    seen = analyst.get(f"/admin/rewards/{reward.id}")
    change = analyst.patch(
        f"/admin/rewards/{reward.id}", {"title": "x"}, headers={"If-Match": '"1"'}
    )

    assert seen.status_code == 200
    assert (change.status_code, change.json["code"]) == (403, "wrong_audience")
    assert as_role("admin").get(f"/admin/rewards/{reward.id}").json["title"] == reward.title


@pytest.mark.covers("K4", "K9")
def test_what_one_shopper_has_is_not_there_for_another(as_shopper, a_reward, redeem):
    one, two = as_shopper("one"), as_shopper("two")
    mine = redeem(one, a_reward(price_points=0))["id"]

    answers = [
        two.get(f"/me/redemptions/{mine}"),
        two.post(f"/me/redemptions/{mine}/cancellation"),
    ]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(404, "not_found")] * 2
    assert one.get(f"/me/redemptions/{mine}").json["state"] == "issued"
    assert two.get("/me/redemptions").json["items"] == two.get("/me/vouchers").json["items"] == []
