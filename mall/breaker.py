"""A breaker: who gives no answer is left alone for a while, then asked by one call alone."""

import threading
import time


class Open(Exception):
    """The other side was not asked: it has given no answer of late."""


class Breaker:
    """After `failures` calls in a row without an answer none is let through for `open_s`."""

    def __init__(self, *, failures: int, open_s: float) -> None:
        self._lock = threading.Lock()
        self._most, self._open_s = failures, open_s
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    def let_through(self) -> None:
        """Raise Open instead of letting a call wait in vain; each that returns must be told of."""
        with self._lock:
            if time.monotonic() < self._open_until:
                raise Open("it has given no answer of late")
            if self._failures < self._most:
                return
            if self._probing:
                raise Open("another asks whether it is back")
            self._probing = True

    def answered(self) -> None:
        """Any answer is one, a refusal too."""
        with self._lock:
            self._probing, self._failures = False, 0

    def lost(self, *, pause_s: float = 0.0) -> None:
        """No answer came; after one alone nobody is let through for `pause_s`."""
        with self._lock:
            self._probing = False
            self._failures += 1
            open_s = self._open_s if self._failures >= self._most else pause_s
            self._open_until = time.monotonic() + open_s

    def neither(self) -> None:
        """The call failed before it asked."""
        with self._lock:
            self._probing = False

    @property
    def is_open(self) -> bool:
        with self._lock:
            return self._failures >= self._most
