"""What only the tests of the mall need: a Redis that can be made to die."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis

from mall.guards import client


class DeadRedis:
    """Points the application at a Redis that is gone or hangs, and back."""

    def __init__(self, app: Flask, folder: Path) -> None:
        self.app, self.folder = app, folder
        self.address = app.config["REDIS_URL"]

    def die(self) -> None:
        """Nobody listens any more."""
        self._use(f"unix://{self.folder}/nobody.sock")

    @contextlib.contextmanager
    def hang(self) -> Iterator[None]:
        """Somebody listens and never answers."""
        path = str(self.folder / "hung.sock")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(path)
            listener.listen(64)
            self._use(f"unix://{path}")
            yield
        self.live()

    def live(self) -> None:
        self._use(self.address)

    def _use(self, address: str) -> None:
        self.app.config["REDIS_URL"] = address
        self.app.extensions.pop("redis_scripts", None)
        client.connect(self.app)


@pytest.fixture
def dead_redis(app: Flask, tmp_path: Path) -> Iterator[DeadRedis]:
    redis = DeadRedis(app, tmp_path)
    kept = app.extensions["redis"]
    yield redis
    app.config["REDIS_URL"] = redis.address
    app.extensions.pop("redis_scripts", None)
    app.extensions["redis"] = kept


@pytest.fixture
def go_back(app: Flask) -> Callable[[], Callable[[], None]]:
    """Note how Redis stands now; calling what is answered makes it stand so again."""

    def remember() -> Callable[[], None]:
        with Redis.from_url(app.config["REDIS_URL"]) as raw:
            kept = {key: (max(raw.pttl(key), 0), raw.dump(key)) for key in raw.keys("*")}

        def restore() -> None:
            with Redis.from_url(app.config["REDIS_URL"]) as raw:
                raw.flushall()
                for key, (ttl_ms, value) in kept.items():
                    raw.restore(key, ttl_ms, value)

        return restore

    return remember
