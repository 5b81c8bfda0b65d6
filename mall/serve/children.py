"""One child of the manager: its start, its end, and how often it died lately."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import IO

from mall.serve.place import CannotStart

DEATHS_A_MINUTE = 10
QUICK_DEATHS = 4  # in a row, each of its own within QUICK_S of its start: another would die as well
QUICK_S = 8.0
DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0)  # before the first, second ... restart within a minute
KILLED_ENDS_S = 0.5
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Ends(IntEnum):
    """The order in which children end: who asks before who answers."""

    FIRST = 0
    THEN = 1
    LAST = 2


@dataclass
class Child:
    """A program that runs under the manager, in a process group of its own."""

    name: str
    command: list[str]
    ends: Ends = Ends.FIRST
    why_not_ready: Callable[[], str] = lambda: ""  # empty when ready
    ready_within_s: float = 60.0
    descriptors: tuple[int, ...] = ()
    output: IO[bytes] | int | None = None
    process: subprocess.Popen[bytes] | None = None
    restart_at: float | None = None
    deaths: deque[float] = field(default_factory=deque)
    started_at: float = 0.0
    quick_deaths: int = 0

    def start(self, environment: Mapping[str, str], folder: Path) -> None:
        """Start the program; it gets SIGTERM should the manager die without a word (on Linux)."""
        manager = os.getpid()
        shown = self.output in (None, subprocess.DEVNULL)  # what it says of errors, at least
        self.restart_at = None
        self.started_at = time.monotonic()
        try:
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=None if shown else subprocess.STDOUT,
                pass_fds=self.descriptors,
                start_new_session=True,  # so that Ctrl-C reaches the manager only
                preexec_fn=lambda: end_with(manager),
            )
        except OSError as error:
            raise CannotStart(f"{self.name} can't be started: {error}.") from None

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs or before it started."""
        return self.process.poll() if self.process else None

    @property
    def running(self) -> bool:
        return self.process is not None and self.code is None

    def ask_to_end(self) -> None:
        if self.running and self.process:
            self.process.terminate()

    def kill(self) -> None:
        """Kill what is left of its process group, which may outlive the child itself."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            pass
        try:
            self.process.wait(KILLED_ENDS_S)
        except subprocess.TimeoutExpired:
            pass  # it hangs in the kernel and ends when that lets go

    def plan_restart(self) -> float | None:
        """Note a death and say in how many seconds to restart; None: it died too often."""
        now = time.monotonic()
        while self.deaths and self.deaths[0] < now - 60:
            self.deaths.popleft()
        self.deaths.append(now)
        quick = now - self.started_at < QUICK_S and self.code != -signal.SIGKILL
        self.quick_deaths = self.quick_deaths + 1 if quick else 0
        if len(self.deaths) > DEATHS_A_MINUTE or self.quick_deaths >= QUICK_DEATHS:
            return None
        delay_s = DELAYS_S[min(len(self.deaths), len(DELAYS_S)) - 1]
        self.restart_at = now + delay_s
        return delay_s


def end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM at the parent's death; only Linux knows how."""
    if _libc:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)
