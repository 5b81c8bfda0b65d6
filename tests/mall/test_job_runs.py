"""The last run of each job can be seen: what it did, why it failed, and that it happens at all."""

import pytest
import sqlalchemy as sa

from mall import clock, job_runs, jobs
from models import JobRun
from tests.mall.books import give, one, rows


@pytest.fixture(autouse=True)
def forgetful(app):
    app.extensions.pop("job_runs", None)


def test_a_run_by_hand_is_noted_with_what_it_did(app, a_member):
    now = clock.now()
    give(a_member(), 5, "old", expires_at=now, now=now)

    result = app.test_cli_runner().invoke(args=["jobs", "run", "expire-points"])

    assert result.output == "5\n"
    assert rows(JobRun.name, JobRun.done, JobRun.done_in_all, JobRun.error) == [
        ("expire-points", 5, 5, "")
    ]
    assert one(JobRun.finished_at) >= one(JobRun.started_at) >= now


def test_runs_that_do_nothing_are_noted_now_and_then(app, monkeypatch):
    seen = []
    for quiet_s in (60.0, 60.0, 0.0):
        monkeypatch.setattr(job_runs, "QUIET_S", quiet_s)
        job_runs.noted("idle", lambda: 0)
        seen.append(one(JobRun.finished_at))

    assert seen[0] == seen[1] < seen[2]


def test_what_did_something_is_noted_at_once_and_added_up(app):
    for done in (2, 3):
        job_runs.noted("busy", lambda done=done: done)
    job_runs.noted("busy", lambda: 0)

    assert rows(JobRun.done, JobRun.done_in_all) == [(3, 5)]


def test_a_failure_is_noted_with_its_reason_and_still_fails(app):
    def fail():
        raise ValueError("x" * 300)

    for _ in range(2):
        with pytest.raises(ValueError, match="xxx"):
            job_runs.noted("broken", fail)

    assert rows(JobRun.failures, JobRun.done) == [(2, 0)]
    assert one(JobRun.error) == ("ValueError: " + "x" * 300)[:200]
    job_runs.noted("broken", lambda: 1)
    assert (one(JobRun.error), one(JobRun.failures)) == ("", 2)


def test_a_job_has_happened_even_where_its_run_can_not_be_noted(app, monkeypatch):
    def broken(_):
        raise sa.exc.OperationalError("INSERT", None, Exception("the disk is full"))

    monkeypatch.setattr(job_runs, "insert", broken)

    assert job_runs.noted("done", lambda: 7) == 7


def test_the_console_lists_every_job_with_its_schedule_and_last_run(app, as_staff):
    job_runs.noted("expire-points", lambda: 4)

    listed = {each["name"]: each for each in as_staff("admin").get("/admin/jobs").json["items"]}

    assert set(listed) == set(jobs.JOBS)
    assert listed["expire-points"]["schedule"] == "every 60 s"
    assert listed["prove-ledger"] == {
        "name": "prove-ledger",
        "schedule": "10 4 * * *",
        "last_run": None,
    }
    assert listed["expire-points"]["last_run"]["done"] == 4
