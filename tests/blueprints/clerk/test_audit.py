"""What tills do is in the audit log: left in the act's own transaction, added by a job."""

import pytest
import sqlalchemy as sa

from mall import audit, jobs
from mall.atomic import atomic
from models import AuditEntry, AuditWaiting
from tests.makers import grant
from tests.mall.books import by_hand, count, rows
from tests.mall.together import together

RECEIPT = {"receipt_no": "R-1", "amount_fen": 10_000}


@pytest.fixture
def clerk(as_staff):
    return as_staff("clerk-a")


@pytest.fixture
def log(as_staff):
    """The entries of a kind of action, the oldest first."""
    owner = as_staff("owner")

    def entries(action):
        jobs.collect_audit()
        return owner.get(f"/admin/audit?limit=100&action={action}").json["items"][::-1]

    return entries


@pytest.mark.covers("K7")
def test_every_route_of_a_till_that_changes_something_is_audited(app):
    changing = {
        rule.rule: app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/clerk/") and rule.methods & {"POST", "PATCH", "DELETE"}
    }

    assert [path for path, view in changing.items() if not hasattr(view, "audited")] == []
    assert len(changing) == 10


@pytest.mark.covers("K7")
def test_what_a_clerk_does_is_told_with_who_where_and_to_what(
    clerk, as_shopper, a_reward, redeem, log, hired
):
    shopper = as_shopper("one")
    shopper.patch("/me", {"nickname": "小满满"})
    grant(shopper.id, 100)
    voucher = redeem(shopper, a_reward(price_points=10))["voucher"]["code"]
    payload = shopper.get("/me/card").json["code"]["payload"]
    scanned = clerk.post("/clerk/scans", {"code": payload}).json
    bought = clerk.post("/clerk/purchases", {**RECEIPT, "scan_token": scanned["scan_token"]}).json
    clerk.post(f"/clerk/vouchers/{voucher}/use", {})
    done = clerk.get("/clerk/actions").json["items"][0]["id"]
    clerk.post(f"/clerk/actions/{done}/undo", {"reason": "录错"})

    (shown,), (recorded,), (used,), (undone,) = (
        log(action)
        for action in ("scan.show", "purchase.record", "voucher.use", "till_action.undo")
    )

    assert {each["actor"] for each in (shown, recorded, used, undone)} == {
        f"staff:{hired['clerk-a']}"
    }
    assert recorded["subject_id"] == str(bought["id"]) and recorded["address"] == "127.0.0.1"
    assert shown["subject_id"] == str(shopper.id) and undone["subject_id"] == str(done)
    told = str((shown, recorded, used, undone))
    for secret in ("小满满", scanned["scan_token"], payload, voucher):
        assert secret not in told
    assert audit.verify().broken_at is None and count(AuditWaiting) == 0


def test_what_was_refused_or_asked_again_is_not_told_twice(clerk, as_shopper, log):
    body = {**RECEIPT, "member_id": as_shopper("one").id}
    for _ in range(2):
        clerk.post("/clerk/purchases", body, key="the-same-key-twice")
    assert clerk.post("/clerk/purchases", body).status_code == 409

    assert len(log("purchase.record")) == 1


def test_a_dry_run_of_a_payment_is_not_told_and_a_payment_is(as_staff, clerk, as_shopper, log):
    rule = {"rate_points": 100, "rate_fen": 100, "max_percent": 30, "step_points": 100}
    as_staff("admin").post("/admin/payment-rules", rule)
    shopper = as_shopper("one")
    grant(shopper.id, 2_000)
    bill = {"member_id": shopper.id, "receipt_no": "R1", "bill_fen": 5_000}

    for dry in (True, False):
        clerk.post("/clerk/points-payments", {**bill, "dry_run": dry})

    assert [each["after"]["points"] for each in log("points_payment.pay")] == [1_500]


def test_a_wrong_voucher_code_is_counted_though_nothing_is_left_of_it(clerk, log):
    for _ in range(10):
        assert clerk.post("/clerk/vouchers/AAAA/use", {}).status_code == 404

    locked = clerk.post("/clerk/vouchers/AAAA/use", {})
    assert locked.json["code"] == "voucher_guessing"
    assert log("voucher.use") == []


def test_an_act_and_what_is_left_of_it_stand_or_fall_together(clerk, as_shopper, monkeypatch):
    body = {**RECEIPT, "member_id": as_shopper("one").id}

    def broken(*_, **__):
        raise RuntimeError("no room")

    with monkeypatch.context() as patched:
        patched.setattr("mall.audit.leave", broken)
        assert clerk.post("/clerk/purchases", body).status_code == 500

    assert clerk.post("/clerk/purchases", body).status_code == 201
    assert count(AuditWaiting, AuditWaiting.action == "purchase.record") == 1


def leave(n):
    from mall import clock

    act = audit.Act("staff:1", "purchase.record", "purchase", str(n), after={"n": n})
    with atomic():
        audit.leave(act, now=clock.now())


def test_a_job_that_dies_half_way_adds_nothing_and_the_next_adds_all(app, monkeypatch):
    for n in range(5):
        leave(n)
    note, calls = audit.note, []

    def dying(act, *, now):
        calls.append(act)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return note(act, now=now)

    with monkeypatch.context() as patched:
        patched.setattr("mall.audit.note", dying)
        with pytest.raises(KeyboardInterrupt):
            audit.collect()
    assert (count(AuditEntry), count(AuditWaiting)) == (0, 5)

    assert jobs.collect_audit() == 5
    assert [row[0] for row in rows(AuditEntry.subject_id, order=AuditEntry.seq)] == list("01234")


def test_jobs_and_the_console_at_once_add_each_act_once(app, as_staff, monkeypatch):
    monkeypatch.setattr(audit, "COLLECTED_AT_ONCE", 3)
    for n in range(12):
        leave(n)
    admin = as_staff("admin")
    policy = {"title_zh": "a", "body_zh": "a", "title_en": "a", "body_en": "a", "kind": "terms"}

    works = [jobs.collect_audit] * 4 + [lambda: admin.post("/admin/policies", policy)] * 3
    together(app, works)
    jobs.collect_audit()

    told = [
        row[0]
        for row in rows(AuditEntry.subject_id, where=[AuditEntry.action == "purchase.record"])
    ]
    assert sorted(told, key=int) == [str(n) for n in range(12)]
    assert count(AuditWaiting) == 0 and audit.verify().broken_at is None


@pytest.mark.covers("K7")
def test_who_came_in_and_who_was_turned_away_is_told_without_what_they_typed(anybody, log, hired):
    for username, password in (
        ("admin", "a long password"),
        ("admin", "a wrong one"),
        ("my-secret-word", "x"),
    ):
        anybody.post("/auth/staff", {"username": username, "password": password}, key=None)

    refused = log("staff.log_in_refused")
    assert [(each["actor"], each["after"]) for each in refused] == [
        (f"staff:{hired['admin']}", {"refused": "login_refused"}),
        ("unknown", {"refused": "login_refused"}),
    ]
    assert log("staff.log_in")[-1]["actor"].startswith("staff:")
    assert "my-secret-word" not in str(refused) and "wrong" not in str(refused)


def test_what_waits_can_be_taken_away_by_hand_only_before_it_is_in_the_chain(app):
    """The window of some seconds is said in docs/audit.md."""
    leave(1)
    jobs.collect_audit()

    with pytest.raises(Exception, match="append-only"):
        by_hand(sa.delete(AuditEntry))
