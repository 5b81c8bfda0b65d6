"""The connection to Redis, and the scripts that run there."""

from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

TIMEOUT_S = 0.15  # a request would rather do without a guard than wait for it
HERE = Path(__file__).parent

__all__ = ["RedisError", "client", "connect", "reachable", "script"]


def connect(app: Flask) -> None:
    """Give the application its client; nothing is asked of the server yet."""
    app.extensions["redis"] = Redis.from_url(
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
