"""The breaker before Redis: after a few failures in a row nobody waits for it for a moment.

One stands in each client, and so in each process, before every command and pipeline.
"""

import threading
import time
from types import TracebackType

from flask import has_request_context, request
from redis.exceptions import ConnectionError, RedisError, TimeoutError

FAILURES = 5
OPEN_S = 1.0
PAUSE_S = (
    0.1  # after a call that was waited for in vain: who queued behind it must not wait as well
)
GIVEN_UP = "mall.redis_gave_no_answer"


class NotAsked(ConnectionError):
    """Redis was not asked: it has not answered of late."""


class Breaker:
    """A with-block round each call; raises NotAsked instead of letting a call wait in vain.

    After one time-out none is let through for PAUSE_S. After FAILURES calls in a row without an
    answer none is for OPEN_S, then one alone to see. Within one request a single time-out is enough:
    it is answered without Redis.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._probing = False

    def __enter__(self) -> None:
        if has_request_context() and GIVEN_UP in request.environ:
            raise NotAsked("Redis gave this request no answer before")
        with self._lock:
            if time.monotonic() < self._open_until:
                raise NotAsked("Redis has given no answer of late")
            if self._failures < FAILURES:
                return
            if self._probing:
                raise NotAsked("another asks Redis whether it is back")
            self._probing = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, TimeoutError) and has_request_context():
            request.environ[GIVEN_UP] = True
        with self._lock:
            self._probing = False
            if isinstance(error, ConnectionError | TimeoutError):
                self._failures += 1
                pause_s = PAUSE_S if isinstance(error, TimeoutError) else 0.0
                open_s = OPEN_S if self._failures >= FAILURES else pause_s
                self._open_until = time.monotonic() + open_s
            elif error is None or isinstance(error, RedisError):
                self._failures = 0  # a refusal is an answer too

    @property
    def is_open(self) -> bool:
        with self._lock:
            return self._failures >= FAILURES
