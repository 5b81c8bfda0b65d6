"""What a stranger with a stopwatch and odd tools found on the first visit."""

import io
import threading

import pytest
import sqlalchemy as sa

from mall import clock, jobs, redemptions, staff
from mall.errors import LoginRefused, TooManyLogins
from models import Member, db
from tests.caller import Caller
from tests.makers import a_key, grant


def in_chunks(caller: Caller, path: str, raw: bytes):
    """Send a body without saying its length, as a server sees one that came in chunks."""
    with caller.app.test_client() as client:
        return client.post(
            f"/api/v1{path}",
            input_stream=io.BytesIO(raw),
            headers={"Authorization": f"Bearer {caller.token}", "Transfer-Encoding": "chunked"},
            content_type="text/csv",
            environ_overrides={"wsgi.input_terminated": True},
        )


def test_a_body_in_chunks_is_taken_whole_or_not_at_all(as_staff):
    admin = as_staff("admin")
    rows = "external_id,nickname\n" + "".join(f"P{n},{'n' * 40}\n" for n in range(30_000))

    too_large = in_chunks(admin, "/admin/imports/members", rows.encode())
    small = in_chunks(admin, "/admin/imports/members", b"external_id,nickname\nP1,a\n")

    assert too_large.status_code == 413
    assert (small.status_code, small.json["created"]) == (200, 1)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Member)) == 1


@pytest.mark.covers("A12")
def test_a_file_that_breaks_off_leaves_nothing_behind(as_staff):
    rows = "external_id\n" + "".join(f"P{n}\n" for n in range(700)) + '"unclosed\n'

    refused = as_staff("admin").post("/admin/imports/members", data=rows, content_type="text/csv")

    assert (refused.status_code, refused.json["code"]) == (400, "malformed")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Member)) == 0


def test_an_expired_redemption_is_expired_for_the_office_too(app, as_shopper, a_reward, as_staff):
    shopper, reward = as_shopper("late"), a_reward(price_points=0, voucher_lasts_days=1)
    redeemed = shopper.post("/me/redemptions", {"reward_id": reward.id, "quantity": 1}).json
    app.config["CLOCK_OFFSET_S"] = 3 * 86_400

    jobs.expire_vouchers()

    found = as_staff("admin").get("/admin/redemptions?state=expired").json["items"]
    assert [row["id"] for row in found] == [redeemed["id"]]
    assert as_staff("admin").get("/admin/ledger/verification").json["mismatches"] == []


def test_points_whose_time_has_come_are_shown_to_nobody(app, as_shopper, as_staff):
    grant(as_shopper("late").id, 40)
    app.config["CLOCK_OFFSET_S"] = 800 * 86_400
    shopper = as_shopper("late")
    code = shopper.get("/me/card").json["code"]["payload"]

    scanned = as_staff("clerk-a").post("/clerk/scans", {"code": code}).json["member"]["points"]
    listed = as_staff("admin").get("/admin/members").json["items"][0]["points"]

    assert (scanned, listed) == (0, 0)


def test_thirty_guesses_at_once_are_five_guesses(app, hired):
    outcomes: list[str] = []

    def guess() -> None:
        with app.app_context():
            try:
                staff.log_in(
                    username="admin", password="wrong", key=a_key(text=None), now=clock.now()
                )
            except (LoginRefused, TooManyLogins) as refusal:
                outcomes.append(refusal.code)

    together = [threading.Thread(target=guess) for _ in range(30)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()

    assert sorted(outcomes) == ["login_refused"] * 5 + ["too_many_logins"] * 25


@pytest.mark.covers("E2")
def test_a_crowd_before_a_hot_reward_whose_gate_is_new_is_told_sold_out(
    app, a_member, a_reward, anybody
):
    reward, members = a_reward(units=3, hot=True, price_points=0), [a_member() for _ in range(8)]
    reward_id, outcomes = reward.id, []

    def redeem(member_id: int) -> None:
        with app.app_context():
            request = redemptions.Request(member_id, reward_id, 1, a_key(member_id))
            try:
                redemptions.redeem(request, now=clock.now())
                outcomes.append("granted")
            except Exception as refusal:
                outcomes.append(getattr(refusal, "code", repr(refusal)))

    crowd = [threading.Thread(target=redeem, args=(member_id,)) for member_id in members]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()

    assert sorted(outcomes) == ["granted"] * 3 + ["sold_out"] * 5
