"""What reaches the manager from outside: the wish to stop, and the end of a child."""

import os
import select
import signal
import time
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE_CTRL_C_S = 0.5  # `timeout` and some shells send one Ctrl-C twice


class Stop(Exception):
    """Somebody asked for the end."""


class Signals:
    """Turns signals into something to wait for. Handlers only note; the loop acts."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self.at_once = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # only wakes the loop
        for number in STOPPING:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.asked_at is None:
            self.asked_at = now
        elif number == signal.SIGINT and now - self.asked_at > ONE_CTRL_C_S:
            self.at_once = True  # not for SIGTERM: make passes on one that a group got already

    def pause(self, seconds: float) -> None:
        """Wait for a signal or so many seconds, whichever is first."""
        select.select([self._reader], [], [], max(0.0, seconds))
        try:
            os.read(self._reader, 4096)
        except BlockingIOError:
            pass

    def check(self) -> None:
        """Raise Stop if somebody asked for the end."""
        if self.asked_at is not None:
            raise Stop

    def mind_no_more(self) -> None:
        """Let nobody interrupt the last steps: from here on it ends with the code it has."""
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)
