"""Rules of inviting, the review queue, channels, and touches, as the console and a phone meet them."""

import pytest

from mall import clock, jobs

DEVICE = "the-same-device"


@pytest.fixture
def admin(as_staff):
    return as_staff("admin")


@pytest.fixture
def drained():
    return jobs.drain_events


def code_of(shopper) -> str:
    return shopper.get("/me/referral").json["invite_code"]


# rules


@pytest.mark.covers("F1", "F2")
def test_a_draft_is_put_in_force_and_the_shopper_sees_its_figures(admin, as_shopper):
    terms = {
        "join": {"inviter": {"points": 5}},
        "purchase": {"friend": {"points": 9}, "min_amount_fen": 100},
        "ladder": [{"friends": 3, "points": 30}],
        "caps": {"per_day": 4},
    }
    draft = admin.post("/admin/referral-rules", {"terms": terms, "note": "春季"}).json
    shopper = as_shopper("one")
    assert shopper.get("/me/referral").json["rule"]["version"] == 1

    published = admin.post(f"/admin/referral-rules/{draft['id']}/publication")
    again = admin.post(f"/admin/referral-rules/{draft['id']}/publication")

    assert (draft["state"], published.json["state"]) == ("draft", "published")
    assert (again.status_code, again.json["code"]) == (409, "rule_published")
    told = shopper.get("/me/referral").json
    nothing = {"inviter_bundle": "", "friend_bundle": "", "pending_days": 7}
    assert told["rule"] == {
        "version": draft["version"],
        "join": {"inviter_points": 5, "friend_points": 0, **nothing},
        "purchase": {"inviter_points": 0, "friend_points": 9, **nothing},
        "min_amount_fen": 100,
        "per_day": 4,
        "for_life": None,
        "attribution_days": 30,
    }
    step = {"friends": 3, "points": 30, "bundle": "", "paid": False, "missing": 3}
    assert told["ladder"] == [step]


def test_a_rule_that_can_not_be_followed_is_malformed(admin):
    wrong = [
        {"ladder": [{"friends": 3}, {"friends": 1}]},
        {"join": {"friend": {"bundle": "nothing"}}},
        {"join": {"friend": {"points": -1}}},
        {"holds": {"keep_days": 0}},
        {"surprise": 1},
    ]

    answers = [admin.post("/admin/referral-rules", {"terms": terms}) for terms in wrong]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
    assert len(admin.get("/admin/referral-rules").json["items"]) == 1


# the queue


@pytest.mark.covers("F9")
def test_what_is_held_stands_in_the_queue_with_its_reasons_till_somebody_decides(
    admin, as_shopper, drained
):
    inviter = as_shopper("inviter", device=DEVICE)
    friend = as_shopper("friend", invite_code=code_of(inviter), device=DEVICE)
    as_shopper("other", invite_code=code_of(inviter))
    drained()

    (held,) = admin.get("/admin/referrals?state=held").json["items"]
    assert (held["friend_id"], held["inviter_id"]) == (friend.id, inviter.id)
    assert held["holds"] == ["self_device"] and held["held_at"]
    seen = inviter.get("/me/referrals", headers={"Accept-Language": "en"}).json["items"][1]
    assert (seen["state"], seen["reason"]) == ("joined", "in_review") and "review" in seen["says"]
    no_reason = admin.post(f"/admin/referrals/{friend.id}/review", {"approved": True})
    body = {"approved": False, "reason": "同一人"}
    decided = admin.post(f"/admin/referrals/{friend.id}/review", body)
    again = admin.post(f"/admin/referrals/{friend.id}/review", body)

    assert no_reason.status_code == 400
    assert (decided.json["state"], decided.json["review_note"]) == ("refused", "同一人")
    assert (again.status_code, again.json["code"]) == (409, "already_reviewed")
    assert admin.get("/admin/referrals?state=held").json["items"] == []
    assert inviter.get("/me/referrals").json["items"][1]["says"] == "审核未通过"


@pytest.mark.covers("F9")
def test_joins_from_one_address_are_held_though_rates_are_not_limited(app, admin, as_shopper):
    rule = {"terms": {"holds": {"address_joins_per_hour": 3}}, "publish": True}
    admin.post("/admin/referral-rules", rule)
    assert app.config["RATE_LIMITS"] is False
    code = code_of(as_shopper("inviter"))

    for number in range(3):
        as_shopper(f"friend-{number}", invite_code=code)
    jobs.drain_events()

    held = admin.get("/admin/referrals?state=held").json["items"]
    assert [each["holds"] for each in held] == [["address"]] * 3


def test_referrals_are_listed_by_state_and_inviter(admin, as_shopper, drained):
    one, two = as_shopper("one"), as_shopper("two")
    for number, inviter in enumerate((one, one, two)):
        as_shopper(f"friend-{number}", invite_code=code_of(inviter))
    drained()

    def count(query):
        return len(admin.get(f"/admin/referrals{query}").json["items"])

    assert (count(""), count("?state=joined"), count("?state=rewarded")) == (3, 3, 0)
    assert (count(f"?inviter_id={one.id}"), count(f"?inviter_id={two.id}")) == (2, 1)


# touches and channels


@pytest.mark.covers("F3")
def test_a_link_opened_before_joining_brings_the_friend_by_device_or_by_wechat(anybody, as_shopper):
    inviter = as_shopper("inviter")
    code = code_of(inviter)

    by_device = anybody.post("/touches", {"invite_code": code.lower(), "device": "a-new-device"})
    by_wechat = anybody.post("/touches", {"invite_code": code, "code": "user-second"})
    as_shopper("first", device="a-new-device")
    as_shopper("second")

    assert by_device.json == by_wechat.json == {"kind": "invite", "counts_days": 30}
    assert inviter.get("/me/referral").json["invited"] == 2


@pytest.mark.covers("F3")
def test_a_touch_says_what_was_opened_and_by_whom_or_is_refused(anybody):
    wrong = [
        {},
        {"invite_code": "22222222"},
        {"device": "a-new-device"},
        {"invite_code": "22222222", "channel_code": "x", "device": "a-new-device"},
        {"invite_code": "22222222", "device": "short"},
    ]

    refused = [anybody.post("/touches", body) for body in wrong]
    nobodys = [
        anybody.post("/touches", {name: "22222222", "device": "a-new-device"})
        for name in ("invite_code", "channel_code")
    ]

    assert {answer.status_code for answer in refused} == {400}
    assert {answer.status_code for answer in nobodys} == {404}


@pytest.mark.covers("F4", "A11")
def test_a_channel_is_reported_from_scan_to_first_purchase(admin, anybody, as_shopper, as_staff):
    channel = {
        "code": "poster",
        "name": "海报",
        "kind": "online",
        "cost_fen": 1000,
        "owner": "小王",
    }
    made = admin.post("/admin/channels", channel).json
    for device in ("device-one", "device-two"):
        anybody.post("/touches", {"channel_code": "poster", "device": device})
    one = as_shopper("one", device="device-one")
    receipt = {"member_id": one.id, "receipt_no": "R1", "amount_fen": 1000}
    as_staff("clerk-a").post("/clerk/purchases", receipt)
    admin.post(f"/admin/channels/{made['id']}", {"cost_fen": 3000})
    today = clock.business_day(clock.now())

    report = admin.get(f"/admin/channels/report?first_day={today}&last_day={today}")

    assert report.json["items"] == [
        {
            "code": "poster",
            "name": "海报",
            "kind": "online",
            "owner": "小王",
            "cost_fen": 3000,
            "scans": 2,
            "joins": 1,
            "first_purchases": 1,
            "cost_per_join_fen": 3000,
            "cost_per_purchase_fen": 3000,
        }
    ]
    backwards = admin.get(f"/admin/channels/report?first_day={today}&last_day=2020-01-01")
    assert backwards.status_code == 400


@pytest.mark.covers("F5")
def test_a_stores_code_gives_its_gift_in_the_log_in(admin, anybody, stores):
    admin.post("/admin/bundles", {"code": "hello", "name": "到店礼", "points": 10})
    channel = {"code": "store-a", "name": "桌牌", "kind": "store", "bundle_code": "hello"}
    admin.post("/admin/channels", {**channel, "store_id": stores["A"]})
    body = {"code": "user-new", "channel_code": "store-a"}

    first, again = (anybody.post("/auth/wechat", body, key=None).json for _ in range(2))

    assert first["gift"] == {"state": "given", "name": "到店礼", "points": 10, "units": 0}
    assert again["gift"] is None


@pytest.mark.covers("F1")
def test_a_code_that_brings_nothing_is_told_with_the_next_step(anybody, as_shopper):
    own = code_of(as_shopper("member"))
    asked = {"unknown_code": ("new", "NOBODY22"), "own_code": ("member", own)}

    told = {
        reason: anybody.post("/auth/wechat", {"code": f"user-{who}", "invite_code": code}, key=None)
        for reason, (who, code) in asked.items()
    }

    assert {answer.status_code for answer in told.values()} == {200}
    for reason, answer in told.items():
        invitation = answer.json["invitation"]
        assert (invitation["state"], invitation["reason"]) == ("refused", reason)
        assert invitation["next_step"] and invitation["next_step_en"]
