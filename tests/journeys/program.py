"""The running program, started as a user starts it and used over HTTP alone."""

import contextlib
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.caller import Contract
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
PORTS = range(20_000, 25_000)
START_S = 90.0
END_S = 5.0
UP = "会员运营中心已启动"


def a_free_port() -> int:
    for port in random.sample(PORTS, 200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any
    raw: bytes


class Visitor:
    """Somebody who calls the running program, with a token once logged in."""

    def __init__(self, address: str, contract: Contract, token: str | None = None) -> None:
        self.address, self.contract, self.token = address, contract, token
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status == 200, answer.raw
        return answer.body

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self.call("POST", path, json=body or {}, headers=headers)

    def call(self, method: str, path: str, **options: Any) -> Answer:
        headers = options.pop("headers", {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        response = self.session.request(
            method, f"{self.address}/api/v1{path}", headers=headers, timeout=30, **options
        )
        seen = _Seen(response)
        self.contract.check(method, f"/api/v1{path.partition('?')[0]}", seen)
        return Answer(response.status_code, seen.get_json(), response.headers, response.content)


class _Seen:
    """A response as the contract's judge reads it."""

    def __init__(self, response: requests.Response) -> None:
        self.status_code = response.status_code
        self.content_type = response.headers["Content-Type"]
        self._content = response.content

    def get_json(self, *, force: bool = True) -> Any:
        return json.loads(self._content)


class Program:
    """A copy of the program that runs."""

    def __init__(self, address: str) -> None:
        self.address = address
        document = requests.get(f"{address}/api/openapi.json", timeout=10).json()
        self.contract = Contract(document)

    def anybody(self) -> Visitor:
        return Visitor(self.address, self.contract)

    def shopper(self, name: str, **more: str) -> Visitor:
        body = {"code": f"sandbox-{name}", **more}
        return self._logged_in("/auth/wechat", body)

    def staff(self, username: str) -> Visitor:
        body = {"username": username, "password": f"demo-{username}"}
        return self._logged_in("/auth/staff", body)

    def _logged_in(self, path: str, body: dict[str, str]) -> Visitor:
        answer = self.anybody().post(path, body)
        assert answer.status == 200, answer.raw
        return Visitor(self.address, self.contract, answer.body["access_token"])


@contextlib.contextmanager
def running(**settings: str) -> Iterator[Program]:
    """Start the program as `make run` does, in an empty folder; end it as a user does."""
    with tempfile.TemporaryDirectory(prefix="mall-run-") as folder:
        port = a_free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "PORT": str(port),
            "DATA_DIR": f"{folder}/var",
            "RATE_LIMITS": "off",
            **settings,
        }
        output = Path(folder) / "output"
        with output.open("wb") as said, _started(environment, said) as process:
            wait_until(
                lambda: UP in output.read_text() or process.poll() is not None,
                within_s=START_S,
                what="the program's start",
            )
            assert process.poll() is None, output.read_text()
            yield Program(f"http://127.0.0.1:{port}")
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_S) == 0, output.read_text()
            assert "Traceback" not in output.read_text(), output.read_text()


@contextlib.contextmanager
def _started(environment: dict[str, str], said: Any) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "mall.serve"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(END_S * 2)
