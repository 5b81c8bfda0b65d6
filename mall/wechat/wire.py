"""The way out to WeChat: a time limit, another address, and a breaker before both."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from mall.aside import aside
from mall.breaker import Breaker, Open

TIMEOUT_S = 3.0
POOL_SIZE = 32
CHUNK_BYTES, LONGEST_BYTES = 65_536, 4 * 1024 * 1024
FAILURES, OPEN_S = 5, 5.0
SERVER_ERRORS = 500

# At debug level it writes whole addresses, and they hold the app secret.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class NotAsked(requests.ConnectionError):
    """WeChat was not asked: it has given no answer of late."""


class _Here(threading.local):
    until: float | None = None


_here = _Here()


@contextmanager
def in_time() -> Iterator[None]:
    """Give everything inside TIMEOUT_S together: a token may have to be asked for first."""
    before, _here.until = _here.until, time.monotonic() + TIMEOUT_S
    try:
        yield
    finally:
        _here.until = before


def left_s() -> float:
    """The seconds that are left; raises where there are none."""
    if _here.until is None:
        return TIMEOUT_S
    left = _here.until - time.monotonic()
    if left <= 0:
        raise requests.Timeout("WeChat took too long")
    return left


class Wire(HTTPAdapter):
    """Every call's way out, wechatpy's own token call too.

    Another address is reached directly, whatever proxy the environment names. The answer is read
    here, so that one that comes in drops has its time as well.
    """

    def __init__(self, api_url: str) -> None:
        super().__init__(pool_maxsize=POOL_SIZE)
        self._api_url = api_url.rstrip("/")
        self.breaker = Breaker(failures=FAILURES, open_s=OPEN_S)

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]
        how |= {"timeout": left_s(), "stream": True}
        if self._api_url:
            asked = urlsplit(request.url or "")
            request.url = f"{self._api_url}{asked.path}?{asked.query}"
            how["proxies"] = {}
        try:
            self.breaker.let_through()
        except Open as reason:
            raise NotAsked(str(reason)) from None
        try:
            with aside():  # up to three seconds, in which this thread does nothing
                response = _whole(super().send(request, **how))
        except BaseException:
            self.breaker.lost()
            raise
        if response.status_code >= SERVER_ERRORS:
            self.breaker.lost()
        else:
            self.breaker.answered()
        return response


def _whole(response: requests.Response) -> requests.Response:
    """An answer with its body, read as it comes and for no longer than there is time."""
    parts, size = [], 0
    try:
        while part := response.raw.read1(CHUNK_BYTES, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > LONGEST_BYTES:
                raise requests.RequestException("an answer without end")
            left_s()
    except HTTPError as broken:  # urllib3's, which requests turns into its own where it reads
        response.close()
        raise requests.ConnectionError(type(broken).__name__) from None
    response._content, response._content_consumed = b"".join(parts), True  # type: ignore[attr-defined]
    response.raw.release_conn()
    return response
