"""What the sandbox remembers of its users: when they were here, consents, and what was delivered."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

REMEMBERED = 200
HERE_S = 7200  # msgSecCheck wants a user of the last two hours


@dataclass(frozen=True)
class Delivered:
    """A subscribe message, an SMS or the like as its user sees it."""

    at: datetime
    user: str
    kind: str
    template_id: str
    page: str
    data: dict[str, Any]


class Users:
    """Everything by openid, in memory behind a lock; names are those of the login codes."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._lock, self._now = threading.Lock(), now
        self._names: dict[str, str] = {}
        self._here: dict[str, float] = {}
        self._consents: dict[tuple[str, str], int] = defaultdict(int)
        self._codes: set[str] = set()
        self.single_use = False
        self.delivered: deque[Delivered] = deque(maxlen=REMEMBERED)

    def came(self, openid: str, name: str) -> None:
        with self._lock:
            self._names[openid], self._here[openid] = name, self._now()

    def used_before(self, code: str) -> bool:
        """Whether a code was used, where the sandbox was told that each is good once."""
        with self._lock:
            used = self.single_use and code in self._codes
            self._codes.add(code)
            return used

    def name(self, openid: str) -> str | None:
        return self._names.get(openid)

    def openid(self, name: str) -> str | None:
        return next((openid for openid, known in self._names.items() if known == name), None)

    def was_here(self, openid: str) -> bool:
        return self._now() - self._here.get(openid, float("-inf")) < HERE_S

    def consent(self, openid: str, template_id: str, times: int) -> int:
        """Count consents, as a tap on "allow" does; answers how many there are."""
        with self._lock:
            key = openid, template_id
            self._consents[key] = max(self._consents[key] + times, 0)
            return self._consents[key]

    def deliver(self, openid: str, template_id: str, page: str, data: dict[str, Any]) -> bool:
        """Use a consent up and show the message; False where there is none."""
        with self._lock:
            if self._consents[openid, template_id] < 1:
                return False
            self._consents[openid, template_id] -= 1
            name = self._names.get(openid, openid)
            self._show(
                Delivered(datetime.now().astimezone(), name, "订阅消息", template_id, page, data)
            )
            return True

    def _show(self, message: Delivered) -> None:
        self.delivered.appendleft(message)
