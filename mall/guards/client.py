"""The connection to Redis, and the scripts that run there."""

from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

from mall.guards.breaker import Breaker

TIMEOUT_S = 0.15  # a request would rather do without a guard than wait for it
HERE = Path(__file__).parent

__all__ = ["RedisError", "client", "connect", "reachable", "script"]


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


def script(name: str) -> Any:
    """The script of `<name>.lua`, called as `script(name)(keys=[...], args=[...])`."""
    scripts: dict[str, Script] = current_app.extensions.setdefault("redis_scripts", {})
    if name not in scripts:
        scripts[name] = client().register_script(_source(name))
    return scripts[name]
