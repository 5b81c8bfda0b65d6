"""The access token, which all processes share, and its one refresher."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import RedisError
from redis.lock import Lock
from wechatpy.session.redisstorage import RedisStorage

from mall.errors import WeChatUnavailable
from mall.wechat import wire

PREFIX = "wechat"
REFRESH_EARLY_S = 300
REFRESHING_S = 10  # longer than a token call lasts, so that a dead refresher is replaced


class Tokens:
    """The access token in Redis, in the shape of wechatpy's session storage.

    Without Redis a process keeps to the last token it saw; WeChat tells it when that one is over.
    """

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._shared = RedisStorage(redis, PREFIX) if redis is not None else None
        self._seen: dict[str, str] = {}
        self._refreshing = threading.Lock()

    def get(self, key: str, default: str | None = None) -> str | None:
        if self._shared is None:
            return self._seen.get(key, default)
        try:
            token: str | None = self._shared.get(key)
        except RedisError:
            return self._seen.get(key, default)
        if token:
            self._seen[key] = token
        return token or default

    def set(self, key: str, value: str, ttl: int) -> None:
        """Keep a token, in Redis a little shorter than WeChat does."""
        self._seen[key] = value
        if self._shared is not None:
            with suppress(RedisError):
                self._shared.set(key, value, max(ttl - REFRESH_EARLY_S, 1))

    @contextmanager
    def one_refresher(self, key: str) -> Iterator[None]:
        """Let one thread of one process through at a time; the rest wait, but not for long."""
        if not self._refreshing.acquire(timeout=wire.left_s()):
            raise WeChatUnavailable
        try:
            lock = self._lock(f"{PREFIX}:{key}_refreshing")
            try:
                yield
            finally:
                if lock:
                    with suppress(RedisError):
                        lock.release()
        finally:
            self._refreshing.release()

    def _lock(self, name: str) -> Lock | None:
        """The lock all processes share; None when Redis can't be asked."""
        if self._redis is None:
            return None
        lock: Lock = self._redis.lock(name, timeout=REFRESHING_S, sleep=0.05)
        try:
            held = lock.acquire(blocking_timeout=wire.left_s())
        except RedisError:
            return None
        if not held:
            raise WeChatUnavailable
        return lock
