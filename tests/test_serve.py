"""`python -m mall.serve` as a whole: real processes, real signals, as `make run` starts them."""

import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from mall.serve import manager, programs
from mall.serve.children import Ends

pytestmark = [
    pytest.mark.xdist_group("serve"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
]

ROOT = Path(__file__).resolve().parents[1]
PORTS = range(15_000, 20_000)  # below those the kernel lends, beside those the sandbox gets
START_S = 60.0
SECOND_START_S = 30.0  # 10 s on a machine of its own, which .ci/run holds; here others run too
END_S = 5.0
POLL_S = 0.02
UP = "会员运营中心已启动"


def until(answer: Callable[[], object], within_s: float, what: str) -> None:
    """Ask until the answer is true; fails with `what` when the time is over."""
    end = time.monotonic() + within_s
    while not answer():
        assert time.monotonic() < end, f"waited {within_s} s for {what}"
        time.sleep(POLL_S)


def a_free_port() -> int:
    for port in random.sample(PORTS, 200):
        if not listens(port):
            return port
    raise AssertionError("no free port")


class Copy:
    """One copy of the shop, with a DATA_DIR and a PORT of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data_dir = folder / "数据 data"
        self.port = a_free_port()
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        environment |= {"PORT": str(self.port), "DATA_DIR": str(self.data_dir)} | self.settings
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mall.serve"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def start(self, within_s: float = START_S) -> None:
        self.begin()
        until(lambda: UP in self.output or self.code is not None, within_s, "the announcement")
        assert UP in self.output, self.output

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def code(self) -> int | None:
        assert self.process
        return self.process.poll()

    def code_when_ended(self, within_s: float = END_S) -> int:
        until(lambda: self.code is not None, within_s, f"the end; it said {self.output}")
        assert self.process
        return self.process.wait()

    def end(self, number: int = signal.SIGTERM) -> int:
        os.kill(self.pid, number)
        return self.code_when_ended()

    def pids(self, *marks: str) -> set[int]:
        """Living processes of this copy whose name or command line has all the marks."""
        return {
            process
            for process, line in every_process()
            if str(self.data_dir) in line and all(mark in line for mark in marks)
        }

    def child(self, *marks: str) -> int | None:
        """The manager's own child with these marks."""
        return next((pid for pid in self.pids(*marks) if parent_of(pid) == self.pid), None)

    def call(self, method: str, path: str, token: str = "", **body: Any) -> Any:
        """Call the shop; None where nobody answers or it is not ready."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            content = answer.read()
            return json.loads(content) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def log_in(self, name: str) -> str:
        """A token; empty where nobody can log in."""
        answer = self.call("POST", "/api/v1/auth/wechat", code=f"sandbox-{name}") or {}
        return str(answer.get("access_token", ""))

    def answers(self) -> bool:
        return self.call("GET", "/readyz") is not None

    def clear(self) -> None:
        """Whatever a failed test left."""
        if self.process and self.code is None:
            self.process.kill()
            self.process.wait()
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)


def every_process() -> Iterator[tuple[int, str]]:
    """Process ids, each with its name, command line and environment in one line."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parts = [(folder / name).read_bytes() for name in ("comm", "cmdline", "environ")]
        except OSError:
            continue  # it ended meanwhile
        yield int(folder.name), b"\0".join(parts).decode(errors="replace")


def parent_of(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^PPid:\t(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def a_copy() -> Iterator[Callable[..., Copy]]:
    """Copies that have not begun; a short folder, for a socket's path has 103 bytes at most."""
    with ExitStack() as at_end:

        def make(**settings: str) -> Copy:
            folder = at_end.enter_context(tempfile.TemporaryDirectory(prefix="serve-"))
            copy = Copy(Path(folder), **settings)
            at_end.callback(copy.clear)
            return copy

        yield make


@pytest.fixture(scope="module")
def running(a_copy: Callable[..., Copy]) -> Copy:
    """A copy that runs, for tests that leave it running."""
    copy = a_copy()
    copy.start()
    return copy


def assert_nothing_left(copy: Copy) -> None:
    assert copy.pids() == set()
    assert not (copy.data_dir / "redis.sock").exists()


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
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
        return copy.code is not None

    until(kill_the_worker, 15.0, "the end of a shop whose worker can't live")
    assert copy.code == 1
    assert "died too often" in copy.output.splitlines()[-1] and len(killed) == 4
    assert_nothing_left(copy)


def test_an_idle_connection_delays_no_end_and_a_request_under_way_is_answered(a_copy):
    copy = a_copy()
    copy.start()
    idle, asking = (http.client.HTTPConnection("127.0.0.1", copy.port, timeout=5) for _ in "12")
    with closing(idle), closing(asking):
        for connection in (idle, asking):
            connection.request("GET", "/livez")
            connection.getresponse().read()
        body = b'{"code": "sandbox-late"}'
        asking.putrequest("POST", "/api/v1/auth/wechat")
        for header in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            asking.putheader(*header)
        asking.endheaders()
        asking.send(body[:9])

        os.kill(copy.pid, signal.SIGTERM)
        asked_at = time.monotonic()
        assert idle.sock is not None and idle.sock.recv(1) == b""
        closed_after_s = time.monotonic() - asked_at
        asking.send(body[9:])

        assert asking.getresponse().status == 200
        assert closed_after_s < 1.9, "gunicorn itself would wait for two seconds"
    assert copy.code_when_ended() == 0
    assert_nothing_left(copy)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
