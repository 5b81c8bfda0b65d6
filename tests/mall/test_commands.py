"""What is typed at a prompt: opening the shop, files, hiring, jobs, the ledger's proof."""

import json

import pytest
import sqlalchemy as sa
from celery.schedules import crontab

from app import create_app
from mall import audit, clock, jobs
from mall.audit import Act
from mall.points import expiry
from models import Account, Member, Purchase, Staff, Store, db
from tests.conftest import settings_for
from tests.makers import points_last_months
from tests.mall.books import by_hand, count, one


@pytest.fixture
def run(app):
    """Type a command; answers its result."""

    def type_(*words, said=None):
        return app.test_cli_runner().invoke(args=[str(word) for word in words], input=said)

    return type_


def test_opening_the_shop_with_the_sandbox_fills_it_once(run):
    first, again = run("shop", "open"), run("shop", "open")

    assert first.exit_code == again.exit_code == 0
    assert "演示店铺已就绪" in first.output and again.output == ""
    assert count(Store) == 2


def test_a_start_migrates_and_opens_in_one_process(redis_url, tmp_path):
    app = create_app(settings_for(f"sqlite:///{tmp_path}/new.db", redis_url, tmp_path))

    first, again = (app.test_cli_runner().invoke(args=["shop", "prepare"]) for _ in range(2))

    assert first.exit_code == again.exit_code == 0, first.output
    assert "演示店铺已就绪" in first.output and again.output == ""
    with app.app_context():
        assert count(Store) == 2
        db.engine.dispose()


def test_opening_a_real_shop_fills_nothing(app, run, monkeypatch):
    monkeypatch.setitem(app.config, "SANDBOX", False)

    assert run("shop", "open").exit_code == 0 and count(Staff) == 0


def test_a_real_shop_does_not_open_on_the_demonstration(app, run, monkeypatch):
    run("shop", "open")
    monkeypatch.setitem(app.config, "SANDBOX", False)

    refused = run("shop", "open")

    assert refused.exit_code != 0 and "demo shop" in refused.output


@pytest.mark.covers("A12")
def test_files_are_imported_and_a_dry_run_changes_nothing(run, tmp_path):
    people, receipts = tmp_path / "members.csv", tmp_path / "purchases.csv"
    people.write_text("external_id\ne-1\n\ne-2\n", encoding="utf-8-sig")
    receipts.write_text(
        "external_id,store_code,receipt_no,amount_fen,paid_at\ne-1,A,r-1,100,2026-01-01\n"
    )

    tried = run("imports", "members", people, "--dry-run")
    assert tried.exit_code == 0 and count(Member) == 0
    done = run("imports", "members", people)
    assert run("imports", "purchases", receipts).exit_code == 0 and count(Purchase) == 0
    assert run("imports", "purchases", receipts, "--open-stores").exit_code == 0

    report = json.loads(done.output.splitlines()[-1])
    assert (report["created"], report["dry_run"]) == (2, False)
    assert (count(Member), count(Purchase)) == (2, 1)


def test_a_file_that_is_not_there_is_said_so(run, tmp_path):
    refused = run("imports", "members", tmp_path / "none.csv")

    assert refused.exit_code == 2 and "does not exist" in refused.output


def test_somebody_is_hired_with_a_password_typed_twice(run, stores):
    hired = run(
        "staff",
        "hire",
        "li",
        "--name",
        "李",
        "--role",
        "clerk",
        "--store",
        "B",
        said="long password\nlong password\n",
    )

    assert hired.exit_code == 0, hired.output
    assert one(Staff.store_id, Staff.username == "li") == stores["B"]
    assert "long password" not in hired.output


@pytest.mark.parametrize("options", [["--role", "clerk"], ["--role", "clerk", "--store", "X"], []])
def test_a_clerk_without_a_store_or_somebody_without_a_role_is_not_hired(run, stores, options):
    refused = run("staff", "hire", "li", "--name", "李", *options, "--password", "long password")

    assert refused.exit_code == 2 and count(Staff, Staff.username == "li") == 0


def test_the_proof_exits_with_one_where_something_does_not_add_up(run, a_member):
    member = a_member(points=10)
    sound = run("ledger", "verify")
    by_hand(sa.update(Account).values(pending_points=1))
    spoilt = run("ledger", "verify")

    assert (sound.exit_code, spoilt.exit_code) == (0, 1)
    assert json.loads(sound.output)["mismatches"] == []
    (found,) = json.loads(spoilt.output)["mismatches"]
    assert (found["check"], found["id"]) == ("pending_is_sum_of_promises", member)


# jobs


@pytest.mark.parametrize("name", sorted(jobs.JOBS))
def test_a_job_run_by_hand_says_how_much_it_did(run, name):
    done = run("jobs", "run", name)

    assert done.exit_code == 0 and done.output.strip().isdecimal()


def test_every_job_has_its_time_and_runs_inside_the_application(app):
    celery = app.extensions["celery"]

    by_itself = {name for name, (_, when) in jobs.JOBS.items() if when != jobs.BY_HAND}
    assert set(celery.conf.beat_schedule) == by_itself
    assert set(jobs.JOBS) == by_itself | set(jobs.NIGHTLY) <= set(celery.tasks)
    for name, entry in celery.conf.beat_schedule.items():
        assert entry["task"] == name
    assert isinstance(celery.conf.beat_schedule["prune"]["schedule"], crontab)
    assert celery.conf.timezone == "Asia/Shanghai"


@pytest.mark.parametrize("name", sorted(jobs.JOBS))
def test_what_the_worker_runs_is_the_job(app, name):
    assert isinstance(app.extensions["celery"].tasks[name](), int)


def test_the_worker_finds_redis_by_its_socket_too():
    assert jobs._broker("unix:///run/r.sock") == "redis+socket:///run/r.sock"
    assert jobs._broker("redis://h:1/0") == "redis://h:1/0"


def test_a_job_ends_in_time_though_work_never_does(monkeypatch):
    monkeypatch.setattr(jobs, "MAX_BATCHES", 3)

    assert jobs._until_done(lambda: 2) == 6


def test_points_are_expired_by_the_shops_clock(app, run, a_member, monkeypatch):
    monkeypatch.setattr(expiry, "EXPIRED_AT_ONCE", 1)
    points_last_months(1)
    members = [a_member(points=10) for _ in range(3)]
    assert run("jobs", "run", "expire-points").output == "0\n"

    app.config["CLOCK_OFFSET_S"] = 400 * 86_400

    assert run("jobs", "run", "expire-points").output == "30\n"
    assert len(members) == 3 and clock.now().year > 2026


def test_the_audit_log_is_verified_at_the_prompt_against_an_end_kept_elsewhere(run):
    for number in (1, 2):
        audit.note(Act("staff:1", "store.open", "store", str(number)), now=clock.now())

    looked = run("audit", "verify")
    end = json.loads(looked.output)
    held = run("audit", "verify", "--end", f"2:{end['tag']}")
    lost = run("audit", "verify", "--end", f"1:{end['tag']}")
    unreadable = run("audit", "verify", "--end", "x")

    assert (end["entries"], end["broken_at"]) == (2, None)
    assert [each.exit_code for each in (looked, held, lost, unreadable)] == [0, 0, 1, 2]
    assert "does not hold" in lost.output
