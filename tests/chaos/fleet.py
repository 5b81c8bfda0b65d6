"""Clients that ask at once over kept connections, and the history of what each asked and was told."""

import json
import secrets
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

PATIENCE_S = 15.0  # without an answer by then, a client takes it that there is none
PAUSE_S = 0.2
RESOLVERS = 16
REDEEM = "/me/redemptions"
UNKNOWN = "outcome_unknown"
IN_PROGRESS = "idempotency_key_in_progress"


@dataclass(frozen=True)
class Ask:
    """One wish: whoever repeats it with its key wishes it once."""

    member_id: int
    token: str = field(repr=False)
    path: str
    body: dict[str, Any] = field(hash=False)
    key: str | None = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True)
class Call:
    """One attempt at a wish: what was asked when, and what came back when, if anything."""

    ask: Ask
    started_at: float
    ended_at: float
    status: int | None = None
    raw: bytes = b""
    replayed: bool = False
    kind: str = ""
    error: str = ""

    @property
    def took_s(self) -> float:
        return self.ended_at - self.started_at

    @property
    def body(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.raw)
        return said

    @property
    def code(self) -> str:
        """The refusal's code; empty where it is none."""
        is_refusal = self.status is not None and self.kind.startswith("application/problem+json")
        return str(self.body["code"]) if is_refusal else ""

    @property
    def verdict(self) -> str:
        """What a client may believe: done, refused, not now (nothing happened), unknown."""
        if self.status is None or self.code == UNKNOWN:
            return "unknown"
        if self.status < 300:
            return "done"
        if self.status in (429, 503) or self.code == IN_PROGRESS:
            return "not now"
        return "refused" if self.status < 500 else "unknown"

    @property
    def final(self) -> bool:
        return self.verdict in ("done", "refused")

    def line(self) -> str:
        shown = {
            "member": self.ask.member_id,
            "key": self.ask.key,
            "path": self.ask.path,
            "body": self.ask.body,
            "started_at": round(self.started_at, 4),
            "took_s": round(self.took_s, 4),
            "status": self.status,
            "replayed": self.replayed,
            "said": self.raw.decode(errors="replace"),
            "error": self.error,
        }
        return json.dumps(shown, ensure_ascii=False)


class History:
    """Every call of an experiment, in the order they ended."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def note(self, call: Call) -> None:
        self.calls.append(call)  # one operation, so threads need no lock

    def by_ask(self) -> dict[Ask, list[Call]]:
        found: dict[Ask, list[Call]] = defaultdict(list)
        for call in self.calls:
            found[call.ask].append(call)
        return found

    def open_asks(self) -> list[Ask]:
        """Wishes whose last call left it open what became of them."""
        return [ask for ask, calls in self.by_ask().items() if not calls[-1].final]

    def count(self, true: Callable[[Call], bool]) -> int:
        return sum(1 for call in self.calls if true(call))

    def done(self) -> int:
        """Wishes that were granted, however often they were told so."""
        return len({call.ask for call in self.calls if call.verdict == "done"})

    def between(self, start: float, end: float) -> list[Call]:
        """Calls that began in a span of time."""
        return [call for call in self.calls if start <= call.started_at < end]

    def write(self, path: Path) -> None:
        path.write_text("\n".join(call.line() for call in self.calls), encoding="utf-8")


def percentile_ms(calls: Iterable[Call], percent: float) -> int:
    """How long the slowest but (100 - percent) % of calls took; 0 where there is none."""
    took = sorted(call.took_s for call in calls)
    return round(took[min(int(len(took) * percent / 100), len(took) - 1)] * 1000) if took else 0


class Link:
    """A kept connection. A crowd shares the machine with the shop, so it reads with little effort.

    http.client would take a fifth of the machine for its crowd, and the shop's time with it.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket: socket.socket | None = None
        self.answers: BinaryIO

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by their names in small letters, and body; OSError where none came."""
        raw = body.encode()
        lines = [f"{name}: {value}" for name, value in headers.items()]
        top = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(raw)}"]
        self._open().sendall("\r\n".join([*top, *lines, "", ""]).encode() + raw)
        return self._answer()

    def close(self) -> None:
        if self.socket is not None:
            self.answers.close()
            self.socket.close()
            self.socket = None

    def _open(self) -> socket.socket:
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.answers = self.socket.makefile("rb")
        return self.socket

    def _answer(self) -> tuple[int, dict[str, str], bytes]:
        first = self.answers.readline()
        if not first:
            raise ConnectionResetError("closed without an answer")
        headers = {}
        while line := self.answers.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers["content-length"])
        body = self.answers.read(length)
        if len(body) < length:
            raise ConnectionResetError("closed in the middle of an answer")
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), headers, body


class Client:
    """One connection that is kept, and opened anew where it broke."""

    def __init__(self, port: int, history: History | None = None) -> None:
        self.link = Link(port)
        self.history = history

    def ask(self, ask: Ask) -> Call:
        """Ask once, and note what came back."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ask.token}"}
        if ask.key is not None:
            headers["Idempotency-Key"] = ask.key
        path = f"/api/v1{ask.path}"
        started_at = time.monotonic()
        call = Call(ask, started_at, started_at)
        try:
            status, told, raw = self.link.ask("POST", path, headers, json.dumps(ask.body))
            call = replace(
                call,
                raw=raw,
                status=status,
                kind=told.get("content-type", ""),
                replayed=told.get("idempotent-replayed") == "true",
            )
        except (OSError, ValueError, LookupError) as error:
            self.link.close()
            call = replace(call, error=repr(error))
        call = replace(call, ended_at=time.monotonic())
        if self.history is not None:
            self.history.note(call)
        return call

    def insist(self, ask: Ask, *, within_s: float, pause_s: float = PAUSE_S) -> Call:
        """Ask with the same key until it is known what became of it, or the time is over."""
        end = time.monotonic() + within_s
        call = self.ask(ask)
        while not call.final and time.monotonic() < end:
            time.sleep(pause_s)
            call = self.ask(ask)
        return call

    def told(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """What anybody is told; for calls that no experiment is about."""
        headers = {"Content-Type": "application/json"}
        status, _, raw = self.link.ask(
            method, f"/api/v1{path}", headers, json.dumps(body) if body else ""
        )
        assert status == 200, raw
        return json.loads(raw)

    def close(self) -> None:
        self.link.close()


def redemption(member: Any, reward_id: int, quantity: int = 1, **more: Any) -> Ask:
    body = {"reward_id": reward_id, "quantity": quantity}
    return Ask(member.id, member.token, REDEEM, body, **more)


class Crowd:
    """Clients that take the next wish as soon as they have their answer, until told to stop."""

    def __init__(
        self,
        port: int,
        history: History,
        next_ask: Callable[[], Ask | None],
        *,
        clients: int,
        patience_s: float = 2.0,
        think_s: float = 0.0,
    ) -> None:
        self.port, self.history, self.next_ask = port, history, next_ask
        self.patience_s, self.think_s = patience_s, think_s
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._be_one) for _ in range(clients)]

    def __enter__(self) -> "Crowd":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.wait()

    def wait(self) -> None:
        """Wait until every client has stopped: told to, or out of wishes."""
        for thread in self.threads:
            thread.join()

    def _be_one(self) -> None:
        client = Client(self.port, self.history)
        while not self.over.is_set():
            ask = self.next_ask()
            if ask is None:
                break
            client.insist(ask, within_s=self.patience_s)
            if self.think_s:
                self.over.wait(self.think_s)
        client.close()


def each_once(asks: Sequence[Ask]) -> Callable[[], Ask | None]:
    """A source of wishes that ends."""
    waiting = iter(asks)
    lock = threading.Lock()

    def take() -> Ask | None:
        with lock:
            return next(waiting, None)

    return take


def all_at_once(port: int, history: History, asks: Sequence[Ask], *, clients: int) -> None:
    """Ask each wish exactly once, by so many clients that begin together."""
    take = each_once(asks)
    start = threading.Barrier(clients)

    def be_one(_: int) -> None:
        client = Client(port, history)
        start.wait()
        while (ask := take()) is not None:
            client.ask(ask)
        client.close()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(be_one, range(clients)))


def resolve(port: int, history: History, *, within_s: float = 60.0) -> int:
    """Ask again, with the same keys, whatever is still open; answers how much stays open."""

    def insist(ask: Ask) -> None:
        client = Client(port, history)
        client.insist(ask, within_s=within_s)
        client.close()

    with ThreadPoolExecutor(RESOLVERS) as pool:
        list(pool.map(insist, history.open_asks()))
    return len(history.open_asks())
