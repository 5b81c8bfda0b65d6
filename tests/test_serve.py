"""`python -m mall.serve` as a whole: real processes, real signals, as `make run` starts them."""

import os
import re
import signal
import socket
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from mall.serve import manager, programs
from mall.serve.children import QUICK_DEATHS, Child, Ends
from tests.copies import (
    END_S,
    POLL_S,
    SECOND_START_S,
    START_S,
    UP,
    Copy,
    a_free_port,
    assert_nothing_left,
    until,
)

pytestmark = [
    pytest.mark.xdist_group("serve"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
]


def assert_one_sentence(copy: Copy, code: int, *words: str) -> None:
    copy.begin()

    assert copy.code_when_ended(SECOND_START_S) == code
    assert len(copy.output.splitlines()) == 1, copy.output
    assert all(word in copy.output for word in words), copy.output
    assert copy.pids() == set()


def test_a_wrong_setting_is_named_in_one_sentence(a_copy):
    assert_one_sentence(a_copy(WEB_WORKERS="many"), 2, "WEB_WORKERS", "'many'")


def test_a_data_dir_too_deep_for_a_socket_is_refused_in_one_sentence(a_copy):
    assert_one_sentence(a_copy(DATA_DIR="/tmp/" + "deep/" * 20), 1, "DATA_DIR", "103")


def test_a_data_dir_that_is_a_file_is_refused_in_one_sentence(a_copy):
    copy = a_copy()
    copy.data_dir.write_text("in the way")

    assert_one_sentence(copy, 1, "DATA_DIR", str(copy.data_dir))


def test_a_broken_key_ring_is_refused_without_being_shown(a_copy):
    copy = a_copy()
    copy.data_dir.mkdir()
    (copy.data_dir / "secret_keys").write_text("k1:short-secret\n")

    assert_one_sentence(copy, 2, "secret_keys")
    assert "short-secret" not in copy.output


def test_a_taken_port_is_named_in_one_sentence(a_copy):
    copy = a_copy()
    with socket.create_server(("127.0.0.1", copy.port)):
        assert_one_sentence(copy, 1, str(copy.port), "Set another PORT.")


def test_a_second_copy_on_one_data_dir_is_told_who_has_it(a_copy, running):
    second = a_copy(DATA_DIR=str(running.data_dir))

    assert_one_sentence(second, 1, str(running.data_dir), str(running.pid))
    assert running.answers()


def test_a_taken_address_is_no_matter_of_the_port(a_copy):
    copy = a_copy(HOST="192.0.2.1")  # of nobody's: RFC 5737

    assert_one_sentence(copy, 1, "HOST 192.0.2.1", "Set another HOST.")


def test_a_database_that_is_away_is_said_in_one_sentence_before_anything_starts(a_copy):
    nobody = f"postgresql://shop:unsaid-password@127.0.0.1:{a_free_port()}/shop"
    copy = a_copy(DATABASE_URL=nobody)
    shown = nobody.replace("unsaid-password", "***").replace("://", "+psycopg://")

    assert_one_sentence(copy, 1, f"DATABASE_URL {shown} can't be used", "refused")

    assert not (copy.data_dir / "redis.log").exists()
    assert_nothing_left(copy)


def test_a_database_that_is_none_is_said_in_one_sentence(a_copy):
    copy = a_copy(DATABASE_URL="sqlite:///notes.txt")
    copy.data_dir.mkdir()
    (copy.data_dir / "notes.txt").write_text("no database " * 100)

    assert_one_sentence(copy, 2, f"DATABASE_URL sqlite:///{copy.data_dir}/notes.txt", "not a data")


def test_a_failing_migration_stops_everything_and_shows_why(a_copy):
    copy = a_copy()
    copy.data_dir.mkdir()
    with closing(sqlite3.connect(copy.data_dir / "mall.db")) as database, database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES ('of-another-shop')")

    copy.begin()

    assert copy.code_when_ended(START_S) == 1
    assert "shop prepare" in copy.output.splitlines()[-1]
    assert "of-another-shop" in copy.output and "Traceback" not in copy.output
    assert_nothing_left(copy)


def test_without_its_redis_the_shop_opens_and_says_what_waits(a_copy):
    copy = a_copy(REDIS_URL=f"redis://:unsaid@127.0.0.1:{a_free_port()}/0")

    copy.start()

    first = copy.output.splitlines()[0]
    assert first.startswith("REDIS_URL does not answer") and "refused" in first
    assert "unsaid" not in copy.output
    assert copy.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("sign", ["lock", "redis.sock", "mall.db"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_ends_it(a_copy, sign, number):
    copy = a_copy()
    copy.begin()
    until((copy.data_dir / sign).exists, START_S, sign)

    assert copy.end(number) == 0

    assert UP not in copy.output
    assert_nothing_left(copy)


def test_the_second_start_is_quick_and_finds_what_the_first_left(a_copy):
    copy = a_copy()
    copy.start()
    token = copy.log_in("regular")
    card = copy.call("GET", "/api/v1/me/card", token)
    assert copy.end(signal.SIGINT) == 0
    assert_nothing_left(copy)

    copy.start(SECOND_START_S)

    assert copy.call("GET", "/api/v1/me/card", token)["card_no"] == card["card_no"]
    assert copy.end() == 0
    assert_nothing_left(copy)


def test_the_key_ring_is_nobody_elses(running):
    ring = running.data_dir / "secret_keys"

    assert ring.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"k1:[0-9a-f]{64}\n", ring.read_text())
    assert running.data_dir.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "marks", [("valkey-server",), ("jobs\0work",), ("gunicorn",), ("blueprints.sandbox",)]
)
def test_a_killed_child_is_replaced(running, marks):
    before = running.child(*marks)
    assert before is not None

    os.kill(before, signal.SIGKILL)

    until(lambda: running.child(*marks) not in (None, before), 5.0, "its replacement")
    until(running.answers, 20.0, "readiness")
    until(lambda: running.log_in("after-a-death"), 20.0, "a log-in, which needs them all")
    assert not running.pids(*marks) & {before}


def test_a_child_that_dies_again_and_again_ends_everything_soon(a_copy):
    copy = a_copy()
    copy.start()
    killed: set[int] = set()

    def kill_the_worker() -> bool:
        worker = copy.child("jobs\0work")
        if worker is not None and worker not in killed:
            os.kill(worker, signal.SIGABRT)
            killed.add(worker)
        return copy.code is not None

    until(kill_the_worker, 15.0, "the end of a shop whose worker can't live")
    assert copy.code == 1
    assert "died too often" in copy.output.splitlines()[-1] and len(killed) == 4
    assert_nothing_left(copy)


def test_a_child_that_others_kill_again_and_again_is_started_again(tmp_path):
    """It could live: whoever kills it is no fault of its own, and the shop goes on."""
    child = Child("The worker", [sys.executable, "-c", "import time; time.sleep(60)"])
    for _ in range(QUICK_DEATHS + 1):
        child.start(os.environ, tmp_path)
        assert child.process is not None
        child.process.kill()
        child.process.wait(5)
        assert child.plan_restart() is not None


def test_a_request_gets_its_grace_and_the_machine_a_second_to_spare():
    budgets = [manager.ENDED_WITHIN_S[turn] for turn in Ends]

    assert programs.GRACE_S + 0.5 <= budgets[0] < budgets[1] < budgets[2] <= END_S - 1


def test_a_child_that_does_not_answer_is_killed_within_five_seconds(a_copy):
    copy = a_copy()
    copy.start()
    stuck = copy.child("jobs\0work")
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)

    assert copy.end() == 0

    assert_nothing_left(copy)


def test_a_second_ctrl_c_does_not_wait(a_copy):
    copy = a_copy()
    copy.start()
    stuck = copy.child("jobs\0work")
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)

    asked_at = time.monotonic()
    while copy.code is None and time.monotonic() < asked_at + END_S:
        os.kill(copy.pid, signal.SIGINT)
        time.sleep(POLL_S)

    assert time.monotonic() < asked_at + 2.5
    assert copy.code == 0
    assert_nothing_left(copy)


def test_a_killed_manager_takes_its_children_along_and_the_next_start_works(a_copy):
    copy = a_copy()
    copy.start()
    token = copy.log_in("survivor")
    os.kill(copy.pid, signal.SIGKILL)
    assert copy.code_when_ended() == -signal.SIGKILL

    copy.start(SECOND_START_S + END_S)  # at once: it waits for the old children itself

    assert copy.call("GET", "/api/v1/me/card", token)
    os.kill(copy.pid, signal.SIGKILL)
    assert copy.code_when_ended() == -signal.SIGKILL
    until(lambda: not copy.pids(), END_S, "the end of the orphans")


def test_two_copies_live_side_by_side(a_copy, running):
    other = a_copy()
    other.start()

    token = other.log_in("only-there")

    assert other.call("GET", "/api/v1/me", token)
    assert running.call("GET", "/api/v1/me", token) is None
    assert other.end() == 0
    assert running.answers()
    assert len(running.pids("valkey-server")) == 1
