"""What only the tests of the mall need: redeeming, open gates, a Redis that can be made to die."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from mall import clock, gates, redemptions
from mall.guards import client, stock
from mall.idempotency import Answer
from models import Reward
from tests.mall.books import ask


@pytest.fixture
def now(app: Flask) -> datetime:
    return clock.now()


@pytest.fixture
def redeem(now: datetime) -> Callable[..., Answer]:
    """Redeem for somebody; keys are new unless given."""

    def ask_for(
        member_id: int, reward_id: int, quantity: int = 1, *, at: datetime = now, **more: Any
    ) -> Answer:
        return redemptions.redeem(ask(member_id, reward_id, quantity, **more), now=at)

    return ask_for


@pytest.fixture
def a_shelf(a_reward: Callable[..., Reward]) -> Callable[..., int]:
    """A reward for one point whose gate stands open."""

    def make(units: int = 5, **columns: Any) -> int:
        reward = a_reward(**{"price_points": 1, "units": units, **columns}).id
        gates.rebuild(reward)
        return reward

    return make


@pytest.fixture
def overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that are over as soon as they are taken."""
    monkeypatch.setattr(stock, "LEASE_MS", -1)


@pytest.fixture
def adoptable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that a retry may adopt at once."""
    monkeypatch.setattr(stock, "ADOPT_MS", 0)


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
        client.connect(self.app)


@pytest.fixture
def dead_redis(app: Flask, tmp_path: Path) -> Iterator[DeadRedis]:
    redis = DeadRedis(app, tmp_path)
    kept = app.extensions["redis"]
    yield redis
    app.config["REDIS_URL"] = redis.address
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
