"""The connection to Redis, and the scripts that run there."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from mall.guards.breaker import Breaker

TIMEOUT_S = 0.15  # a request would rather do without a guard than wait for it
HERE = Path(__file__).parent

__all__ = ["RedisError", "client", "connect", "piped", "reachable", "script"]


class Guarded(Redis):
    """A client with a breaker before each command and pipeline."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.breaker = Breaker()

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with self.breaker:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        made = GuardedPipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )
        made.breaker = self.breaker
        return made


class GuardedPipeline(Pipeline):
    breaker: Breaker

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        with self.breaker:
            return super().execute(raise_on_error)


def connect(app: Flask) -> None:
    """Give the application its client; nothing is asked of the server yet."""
    app.extensions["redis"] = Guarded.from_url(
        app.config["REDIS_URL"],
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def client() -> Redis:
    connection: Redis = current_app.extensions["redis"]
    return connection


def reachable() -> bool:
    try:
        return bool(client().ping())
    except RedisError:
        return False


@cache
def _source(name: str) -> str:
    return (HERE / f"{name}.lua").read_text(encoding="utf-8")


def script(name: str) -> Callable[..., Any]:
    """The script of `<name>.lua`, called as `script(name)(keys=[...], args=[...])`."""
    return partial(_run, _source(name), _sha(name))


def piped(name: str, pipe: Pipeline) -> Script:
    """The script of `<name>.lua` for calls in a pipeline, which answers all of them at its end."""
    return pipe.register_script(_source(name))


@cache
def _sha(name: str) -> str:
    return hashlib.sha1(_source(name).encode(), usedforsecurity=False).hexdigest()


def _run(source: str, sha: str, *, keys: Sequence[Any], args: Sequence[Any]) -> Any:
    """Run a script by its hash, and send it whole where the server does not know it."""
    redis: Any = client()
    try:
        return redis.execute_command("EVALSHA", sha, len(keys), *keys, *args)
    except NoScriptError:
        return redis.execute_command("EVAL", source, len(keys), *keys, *args)
