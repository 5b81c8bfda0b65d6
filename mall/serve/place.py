"""What must be this copy's own before anything starts: the data folder, the port, the key ring."""

import errno
import fcntl
import os
import random
import secrets
import socket
import time
from pathlib import Path

from mall.serve.signals import Signals
from mall.settings import KEPT_KEYS

LONGEST_SOCKET_PATH_BYTES = 103  # macOS takes no more, Linux four more
OLD_CHILDREN_END_S = 10.0
OLD_CHILDREN_POLL_S = 0.05
BACKLOG = 2048
LOOPBACK = "127.0.0.1"
FREE_PORTS = range(26_000, 32_000)  # below those the kernel lends to outgoing connections
FREE_PORT_TRIES = 100
SECRET_BYTES = 32
OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)  # anything else is the address's fault


class CannotStart(Exception):
    """Why the shop does not run: one sentence for whoever started it."""


def make_folder(data_dir: Path) -> None:
    """Make DATA_DIR, which holds secrets, readable by nobody else."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(data_dir, error) from None


def take_lock(data_dir: Path) -> int:
    """Lock DATA_DIR for this process; children do not inherit it, so a killed manager frees it."""
    descriptor = _open(data_dir, "lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(descriptor, 32).decode().strip()
        shown = f"process {owner}" if owner else "another process"
        raise CannotStart(
            f"DATA_DIR {data_dir} is in use by {shown}: stop it, or set another DATA_DIR."
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def take_family_lock(data_dir: Path, signals: Signals) -> int:
    """Take the lock that every child inherits: while a killed copy's children end, it is held."""
    descriptor = _open(data_dir, "lock.children")
    end = time.monotonic() + OLD_CHILDREN_END_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            if time.monotonic() > end:
                raise CannotStart(
                    f"Children of a copy that was killed still use DATA_DIR {data_dir}: "
                    "end those valkey-server, gunicorn and celery processes, then start again."
                ) from None
        signals.pause(OLD_CHILDREN_POLL_S)
        signals.check()


def free_lock(descriptor: int) -> None:
    """Give a lock back; its file stays, empty, for a removed one could be locked twice."""
    os.ftruncate(descriptor, 0)
    os.close(descriptor)


def listen(host: str, port: int) -> socket.socket:
    """Listen on the shop's port now, for the web server to inherit.

    So nobody can take it between the check and the web server's start, and while a web server
    that died is replaced its callers wait instead of being refused.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno in OF_THE_PORT
        reason = error.strerror if isinstance(error, OSError) else "no name of a host"
        raise CannotStart(
            f"HOST {host} PORT {port} can't be listened on: {reason}."
            f" Set another {'PORT' if taken else 'HOST'}."
        ) from None
    return listener


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    for port in random.sample(FREE_PORTS, FREE_PORT_TRIES):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise CannotStart(f"No free port was found on {LOOPBACK} for the WeChat sandbox.")


def check_socket_path(path: Path) -> None:
    """Refuse a DATA_DIR too deep for a Unix socket."""
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH_BYTES:
        raise CannotStart(
            f"DATA_DIR is too long: {path} has {length} bytes, "
            f"but a socket's path at most {LONGEST_SOCKET_PATH_BYTES}."
        )


def make_key_ring(data_dir: Path) -> None:
    """Make the key ring that is kept under DATA_DIR, whole or not at all; one that is there stays."""
    path = data_dir / KEPT_KEYS
    if path.exists() and path.stat().st_size:
        return
    unfinished = path.with_suffix(".new")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(f"k1:{secrets.token_hex(SECRET_BYTES)}\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(unfinished, path)
        folder = os.open(data_dir, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        raise _unusable(data_dir, error) from None


def _open(data_dir: Path, name: str) -> int:
    try:
        return os.open(data_dir / name, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(data_dir, error) from None


def _unusable(data_dir: Path, error: OSError) -> CannotStart:
    return CannotStart(f"DATA_DIR {data_dir} can't be used: {error.strerror}.")
