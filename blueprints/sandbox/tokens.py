"""Access tokens: the newest is good for two hours, the one before it for five minutes more.

`/cgi-bin/token` and `/cgi-bin/stable_token` each have their own newest token; neither ends the
other's.
"""

import json
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

LASTS_S = 7200
OVERLAP_S = 300
REMEMBERED_S = 86_400  # so long an expired token is told apart from an unknown one

OK, UNKNOWN, MISSING, EXPIRED = 0, 40001, 41001, 42001


class Tokens:
    """Every token given out, in memory behind a lock, and in `file` if there is one."""

    def __init__(self, file: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._file, self._now = file, now
        self._lock = threading.Lock()
        self._good_until: dict[str, float] = {}
        self._newest: dict[str, str] = {}  # "plain" and "stable"
        self._load()

    def issue(self) -> tuple[str, int]:
        """A new token and its seconds; the one before it stays good for five minutes."""
        with self._lock:
            return self._replace("plain", overlap_s=OVERLAP_S), LASTS_S

    def stable(self, *, force: bool) -> tuple[str, int]:
        """The token of before and its seconds left, unless it nears its end or `force` ends it."""
        with self._lock:
            token = self._newest.get("stable", "")
            left_s = self._good_until.get(token, 0) - self._now()
            if force or left_s <= OVERLAP_S:
                return self._replace("stable", overlap_s=0 if force else OVERLAP_S), LASTS_S
            return token, int(left_s)

    def judge(self, token: str) -> int:
        """WeChat's error number for a token; 0 while it is good."""
        with self._lock:
            good_until = self._good_until.get(token)
        if not token or good_until is None:
            return UNKNOWN if token else MISSING
        return OK if self._now() < good_until else EXPIRED

    def _replace(self, kind: str, *, overlap_s: int) -> str:
        now = self._now()
        before = self._newest.get(kind)
        if before in self._good_until:
            self._good_until[before] = min(self._good_until[before], now + overlap_s)
        token = "sandbox_" + secrets.token_urlsafe(96)
        self._newest[kind] = token
        known = {old: end for old, end in self._good_until.items() if end > now - REMEMBERED_S}
        self._good_until = known | {token: now + LASTS_S}
        self._save()
        return token

    def _load(self) -> None:
        if self._file and self._file.exists():
            kept = json.loads(self._file.read_text())
            self._good_until, self._newest = kept["good_until"], kept["newest"]

    def _save(self) -> None:
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(".new")
            draft.touch(mode=0o600)
            draft.write_text(json.dumps({"good_until": self._good_until, "newest": self._newest}))
            os.replace(draft, self._file)
