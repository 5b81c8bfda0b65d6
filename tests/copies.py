"""Copies of the shop that run beside each other, each with its own folder and port."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

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


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
