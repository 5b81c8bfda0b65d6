"""The breaker before Redis: after a few failures in a row nobody waits for it for a moment.

One stands in each client, and so in each process, before every command and pipeline.
"""

from types import TracebackType

from flask import has_request_context, request
from redis.exceptions import ConnectionError, RedisError, TimeoutError

from mall import breaker

FAILURES = 5
OPEN_S = 1.0
PAUSE_S = (
    0.1  # after a call that was waited for in vain: who queued behind it must not wait as well
)
GIVEN_UP = "mall.redis_gave_no_answer"


class NotAsked(ConnectionError):
    """Redis was not asked: it has not answered of late."""


class Breaker(breaker.Breaker):
    """A with-block round each call; raises NotAsked instead of letting a call wait in vain.

    After one time-out none is let through for PAUSE_S. After FAILURES calls in a row without an
    answer none is for OPEN_S, then one alone to see. Within one request a single time-out is enough:
    it is answered without Redis.
    """

    def __init__(self) -> None:
        super().__init__(failures=FAILURES, open_s=OPEN_S)

    def __enter__(self) -> None:
        if has_request_context() and GIVEN_UP in request.environ:
            raise NotAsked("Redis gave this request no answer before")
        try:
            self.let_through()
        except breaker.Open as reason:
            raise NotAsked(str(reason)) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, TimeoutError) and has_request_context():
            request.environ[GIVEN_UP] = True
        if isinstance(error, ConnectionError | TimeoutError):
            self.lost(pause_s=PAUSE_S if isinstance(error, TimeoutError) else 0.0)
        elif error is None or isinstance(error, RedisError):
            self.answered()  # a refusal is an answer too
        else:
            self.neither()
