"""Databases and a Redis of one's own that may be killed, frozen, emptied and started again."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import redis

from tests import servers
from tests.journeys.program import a_free_port

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
END_S = 30.0
DEADLOCK_LINES = 12  # of the log, which tell the story of one


class Postgresql:
    """A PostgreSQL that flushes every commit, as a shop's would; it keeps its data and its port."""

    def __init__(self, folder: Path) -> None:
        found = servers.postgresql_binaries()
        assert found is not None, "PostgreSQL's binaries are not on this machine"
        self.binaries, self.folder = found, folder
        self.port = a_free_port()
        self.other = servers._as_other_user()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        if self.other:
            os.chown(folder, int(str(self.other["user"])), int(str(self.other["group"])))
        self._initialise()

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def deadlocks(self) -> list[str]:
        """What PostgreSQL said of each deadlock it broke up: who waited for whom with which words."""
        said = self.log.read_text(errors="replace").splitlines()
        starts = [n for n, line in enumerate(said) if "deadlock detected" in line]
        return [" / ".join(said[n : n + DEADLOCK_LINES]) for n in starts]

    def _initialise(self) -> None:
        words = ["-D", str(self.folder / "data"), "-U", "mall", "-A", "trust", "-E", "UTF8"]
        command = [str(self.binaries / "initdb"), *words, "--locale=C", "--no-sync"]
        subprocess.run(command, check=True, cwd=self.folder, **QUIET, **self.other)

    def start(self) -> None:
        """Start it, after a crash too, and wait until it lets somebody in."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "fsync": "on",
            "synchronous_commit": "on",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), *options]
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=said, stderr=said, **self.other
            )
        servers.wait_until(self.answers, what="PostgreSQL's start")

    def answers(self) -> bool:
        try:
            psycopg.connect(self.plain_address("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def end(self, number: int = signal.SIGQUIT) -> None:
        """End it: SIGQUIT is what PostgreSQL calls an immediate shutdown, a crash with manners."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(END_S)
            self.process = None

    def plain_address(self, name: str) -> str:
        return f"postgresql://mall@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def address(self, name: str, port: int | None = None) -> str:
        """The address the shop is given; `port` is a proxy's, where one stands before it."""
        options = "sslmode=disable&gssencmode=disable"
        return f"postgresql+psycopg://mall@127.0.0.1:{port or self.port}/{name}?{options}"

    def create(self, name: str) -> None:
        with psycopg.connect(self.plain_address("postgres"), autocommit=True) as link:
            link.execute(f"CREATE DATABASE {name}")


class Redis:
    """A Redis with the options of the embedded one, whose files can be kept and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir(parents=True)
        self.socket = folder / "redis.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: Mapping[str, str] | None = None  # that it is started with
        self.client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def start(self, *, appends: bool = True) -> None:
        """Start it on the files it has; without `appends` it reads its snapshot instead."""
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.data)]
        options += ["--appendonly", "yes" if appends else "no", "--appendfsync", "everysec"]
        options += ["--save", "", "--maxmemory-policy", "noeviction"]
        self.process = subprocess.Popen(
            [servers.redis_binary(), *options], env=self.environment, **QUIET
        )
        servers.wait_until(self._answers, what="Redis' start")

    def _answers(self) -> bool:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(self.socket)) != 0:
                return False
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(END_S)
            self.process = None

    def empty_files(self) -> None:
        shutil.rmtree(self.data)
        self.data.mkdir()

    def keep_files(self) -> Path:
        """Copy the append-only files as they are now, behind or not."""
        return Path(shutil.copytree(self.data, self.folder / "kept", dirs_exist_ok=True))

    def put_back(self, kept: Path) -> None:
        shutil.rmtree(self.data)
        shutil.copytree(kept, self.data)

    def snapshot(self) -> Path:
        """Write a snapshot and keep it apart from the append-only files."""
        self.client.save()
        kept = self.folder / "snapshot"
        kept.mkdir(exist_ok=True)
        shutil.copy(self.data / "dump.rdb", kept)
        return kept

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing answers, and no connection breaks: what a hung machine looks like."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
