"""Switches to misbehave, per call: what a network and a busy WeChat do to whoever depends on them.

`POST /sandbox/misbehaviours` with `{path, how, ...}` sets one for a path (or `*`), `DELETE` ends all:

    error    answers with `errcode` and does nothing
    hang     answers after `seconds` (10), when nobody waits any more, and does nothing
    slow     answers after `seconds` (1)
    cut      closes the connection and does nothing
    lose     does what it was asked, then closes the connection
    garbage  answers a page that is no JSON
    quota    answers 45011 from the call after `per_minute` on

`percent` (100) says how often, `times` how many times in all. The draw is seeded.
"""

import random
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request

from .errors import Refusal

HOWS = ("error", "hang", "slow", "cut", "lose", "garbage", "quota")
SECONDS = {"hang": 10.0, "slow": 1.0}
OWN = "/sandbox/"
TOO_OFTEN, FORMAT = 45011, 47001
A_MINUTE_S = 60

bp = Blueprint("misbehave", __name__)


@dataclass
class Misbehaviour:
    """One switch: what becomes of calls to a path."""

    path: str
    how: str
    errcode: int = -1
    seconds: float = 0.0
    percent: int = 100
    times: int | None = None
    per_minute: int = 0
    calls: deque[float] = field(default_factory=deque)

    def view(self) -> dict[str, Any]:
        names = ("path", "how", "errcode", "seconds", "percent", "times", "per_minute")
        return {name: getattr(self, name) for name in names}


class Misbehaviours:
    """All switches, and how often each struck."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._draw = random.Random(seed)
        self.switches: list[Misbehaviour] = []
        self.struck: dict[str, int] = {}

    def set(self, switch: Misbehaviour) -> None:
        with self._lock:
            self.switches.append(switch)

    def clear(self) -> None:
        with self._lock:
            self.switches, self.struck = [], {}

    def strikes(self, path: str) -> Misbehaviour | None:
        """The switch that a call meets, if any."""
        with self._lock:
            for switch in self.switches:
                if switch.path in ("*", path) and self._meets(switch):
                    self.struck[switch.how] = self.struck.get(switch.how, 0) + 1
                    return switch
        return None

    def _meets(self, switch: Misbehaviour) -> bool:
        if switch.how == "quota":
            return self._over(switch)
        if switch.times == 0 or self._draw.randrange(100) >= switch.percent:
            return False
        if switch.times is not None:
            switch.times -= 1
        return True

    def _over(self, switch: Misbehaviour) -> bool:
        now = time.monotonic()
        while switch.calls and now - switch.calls[0] >= A_MINUTE_S:
            switch.calls.popleft()
        if len(switch.calls) >= switch.per_minute:
            return True
        switch.calls.append(now)
        return False


def _all() -> Misbehaviours:
    found: Misbehaviours = current_app.extensions["misbehaviours"]
    return found


@bp.before_app_request
def misbehave() -> Response | None:
    """Strike before the call is carried out."""
    if request.path == "/" or request.path == "/healthz" or request.path.startswith(OWN):
        return None
    switch = _all().strikes(request.path)
    if switch is None:
        return None
    if switch.how in ("error", "quota"):
        raise Refusal(TOO_OFTEN if switch.how == "quota" else switch.errcode)
    if switch.how in SECONDS:
        time.sleep(switch.seconds or SECONDS[switch.how])
    if switch.how == "garbage":
        return Response("<html>busy</html>", mimetype="text/html")
    if switch.how == "lose":
        g.lose = True
    if switch.how in ("hang", "cut"):
        cut()
    return None if switch.how in ("slow", "lose") else Response("", 204)


@bp.after_app_request
def lose(response: Response) -> Response:
    """Strike after the call was carried out: nobody hears of it."""
    if g.get("lose"):
        cut()
    return response


def cut() -> None:
    """Close the caller's connection, as a network does."""
    link = request.environ.get("werkzeug.socket")
    if link is not None:
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


@bp.get("/sandbox/misbehaviours")
def show() -> Response:
    found = _all()
    return jsonify(switches=[switch.view() for switch in found.switches], struck=dict(found.struck))


@bp.post("/sandbox/misbehaviours")
def switch_on() -> Response:
    body = request.get_json(force=True)
    known = set(Misbehaviour("", "").view())
    if not isinstance(body, dict) or body.get("how") not in HOWS or set(body) - known:
        raise Refusal(FORMAT)
    _all().set(Misbehaviour(**{"path": "*", **body}))
    return jsonify(ok=True)


@bp.delete("/sandbox/misbehaviours")
def switch_off() -> Response:
    _all().clear()
    return jsonify(ok=True)
