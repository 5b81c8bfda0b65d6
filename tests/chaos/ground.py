"""A running shop with its own servers, its members and its shelf: what an experiment stands on."""

import contextlib
import csv
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests.chaos.fleet import Client
from tests.chaos.proxy import Proxy
from tests.chaos.stores import Postgresql, Redis
from tests.journeys.program import END_S, ROOT, START_S, UP, Program, Visitor, a_free_port
from tests.servers import wait_until

JOINING = 16  # members who log in at once
RECEIPT_FEN = 2_000_000  # a receipt's worth of points for everybody
IMPORT_S = 300


@dataclass(frozen=True)
class Member:
    """A shopper who is logged in."""

    id: int
    token: str = field(repr=False)
    card_no: str = field(repr=False)


@dataclass
class Ground:
    """The shop, and the means to look at it and to hurt it."""

    port: int
    folder: Path
    manager: subprocess.Popen[bytes]
    redis: Redis
    database: Postgresql | None
    proxy: Proxy | None
    engine: sa.Engine
    environment: dict[str, str] = field(repr=False)
    members: list[Member] = field(default_factory=list, repr=False)
    rewards: list[int] = field(default_factory=list)  # every one that was put on the shelf here

    @property
    def kind(self) -> str:
        return self.engine.dialect.name

    def program(self) -> Program:
        return Program(f"http://127.0.0.1:{self.port}")

    def admin(self) -> Visitor:
        return self.program().staff("admin")

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def rows(self, text: str, **values: Any) -> Sequence[sa.Row[Any]]:
        """What SQL says now; past any proxy."""
        with self.engine.connect() as connection:
            return connection.execute(sa.text(text), values).all()

    def number(self, text: str, **values: Any) -> int:
        return int(self.rows(text, **values)[0][0] or 0)

    def join(self, count: int) -> list[Member]:
        """Let people join who are new here, and give each a receipt's points."""
        name = secrets.token_hex(4)
        with ThreadPoolExecutor(JOINING) as doors:
            joined = list(doors.map(self.log_in, [f"{name}-{n}" for n in range(count)]))
        self._buy(joined)
        self.members += joined
        return joined

    def log_in(self, name: str, **more: str) -> Member:
        client = Client(self.port)
        try:
            said = client.told("POST", "/auth/wechat", {"code": f"sandbox-{name}", **more})
            who = said["member"]
            return Member(who["id"], said["access_token"], who["card_no"])
        finally:
            client.close()

    def _buy(self, members: Sequence[Member]) -> None:
        """Import a receipt for each, as a shop with a till of its own does."""
        path, batch = self.folder / "receipts.csv", secrets.token_hex(4)
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["card_no", "store_code", "receipt_no", "amount_fen", "paid_at"])
            at = datetime.now(UTC).isoformat(timespec="seconds")
            for number, member in enumerate(members):
                rows.writerow([member.card_no, "A", f"{batch}-{number}", RECEIPT_FEN, at])
        command = [sys.executable, "-m", "flask", "--app", "app", "imports", "purchases", str(path)]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, timeout=IMPORT_S
        )
        assert done.returncode == 0 and b'"refused_count": 0' in done.stdout, done

    def stock(self, units: int, **fields: object) -> int:
        """Put a reward on the shelf with its stock; answers its id."""
        admin = self.admin()
        body = {"title": "限量礼", "kind": "pickup", "price_points": 1, **fields}
        reward = admin.post("/admin/rewards", body)
        assert reward.status == 201, reward.raw
        reward_id: int = reward.body["id"]
        path = f"/admin/rewards/{reward_id}/stock-moves"
        moved = admin.post(path, {"quantity": units, "reason": "purchase"})
        assert moved.status == 201, moved.raw
        self.rewards.append(reward_id)
        return reward_id


@contextlib.contextmanager
def ground(
    database: str = "postgresql",
    *,
    proxied: bool = False,
    members: int = 0,
    redis_clock: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Ground]:
    """Start a shop with servers of its own; end it all, whatever state the experiments left."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, contextlib.ExitStack() as at_end:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as somebody else and must get through
        redis = Redis(folder / "redis")
        redis.environment = redis_clock
        redis.start()
        at_end.callback(redis.kill)
        postgresql, proxy = _database(folder, database, proxied, at_end)
        port = a_free_port()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "PORT": str(port),
            "DATA_DIR": f"{name}/var",
            "REDIS_URL": redis.address,
            "RATE_LIMITS": "off",
            **({"DATABASE_URL": _address(postgresql, proxy)} if postgresql else {}),
            **settings,
        }
        manager = at_end.enter_context(_running(folder, environment))
        direct = postgresql.address("shop") if postgresql else f"sqlite:///{folder}/var/mall.db"
        engine = sa.create_engine(direct, poolclass=NullPool)
        made = Ground(port, folder, manager, redis, postgresql, proxy, engine, environment)
        made.environment["SECRET_KEYS"] = (folder / "var" / "secret_keys").read_text().strip()
        if members:
            made.join(members)
        yield made


def _database(
    folder: Path, kind: str, proxied: bool, at_end: contextlib.ExitStack
) -> tuple[Postgresql | None, Proxy | None]:
    if kind == "sqlite":
        return None, None
    postgresql = Postgresql(folder / "postgresql")
    at_end.callback(postgresql.end)
    postgresql.start()
    postgresql.create("shop")
    if not proxied:
        return postgresql, None
    proxy = Proxy(a_free_port(), postgresql.port)
    proxy.start()
    at_end.callback(proxy.end)
    return postgresql, proxy


def _address(postgresql: Postgresql, proxy: Proxy | None) -> str:
    return postgresql.address("shop", proxy.port if proxy else None)


@contextlib.contextmanager
def _running(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    output = folder / "output"
    with output.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "mall.serve"],
            cwd=ROOT,
            env=environment,
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(
            lambda: UP in output.read_text() or process.poll() is not None,
            within_s=START_S,
            what="the shop's start",
        )
        assert process.poll() is None, output.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(END_S * 2)
