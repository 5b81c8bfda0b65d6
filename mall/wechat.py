"""WeChat's server: who a login code is, which phone a code stands for, the picture of a code.

The only importer of wechatpy, of which it uses the client, the token call and the token store.
The app secret and session keys never leave here: they travel in addresses, so every failure is
raised without its cause.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from redis import Redis
from redis.exceptions import RedisError
from redis.lock import Lock
from requests.adapters import HTTPAdapter
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatException
from wechatpy.session.redisstorage import RedisStorage

from mall.aside import aside
from mall.errors import (
    MallError,
    PhoneCodeInvalid,
    TooMany,
    WeChatCodeInvalid,
    WeChatRiskUser,
    WeChatUnavailable,
)

SANDBOX_APPID = "wxsandbox0000000001"  # what the sandbox accepts; it imports nothing of ours
SANDBOX_SECRET = "sandbox-secret"

WECHAT = "https://api.weixin.qq.com"
PREFIX = "wechat"
TIMEOUT_S = 3.0
REFRESH_EARLY_S = 300
REFRESHING_S = 10  # longer than a token call lasts, so that a dead refresher is replaced
POOL_SIZE = 32
TOKEN_REFUSED = (40001, 40014, 42001)

_OURS = "the request is wrong"
REFUSALS: dict[int, tuple[type[MallError], str]] = {
    # number: what the shopper is told, and what the operator must mend
    -1: (WeChatUnavailable, ""),
    40001: (WeChatUnavailable, "the access token or WECHAT_SECRET is refused"),
    40002: (WeChatUnavailable, _OURS),
    40013: (WeChatUnavailable, "WECHAT_APPID is refused"),
    40014: (WeChatUnavailable, "the access token is refused"),
    40029: (WeChatCodeInvalid, ""),
    40066: (WeChatUnavailable, "WECHAT_API_URL does not know the call"),
    40097: (WeChatUnavailable, _OURS),
    40125: (WeChatUnavailable, "WECHAT_SECRET is refused"),
    40129: (WeChatUnavailable, "a scene has a character that WeChat does not take"),
    40163: (WeChatCodeInvalid, ""),
    40164: (WeChatUnavailable, "this server's address is not on the mini-program's IP whitelist"),
    40169: (WeChatUnavailable, "a scene must have 1 to 32 characters"),
    40226: (WeChatRiskUser, ""),
    40243: (WeChatUnavailable, "the app secret is frozen"),
    41001: (WeChatUnavailable, _OURS),
    41002: (WeChatUnavailable, "WECHAT_APPID is empty"),
    41004: (WeChatUnavailable, "WECHAT_SECRET is empty"),
    41008: (WeChatCodeInvalid, ""),
    41030: (WeChatUnavailable, "the mini-program has no such page"),
    42001: (WeChatUnavailable, "the access token is refused as expired"),
    42003: (WeChatCodeInvalid, ""),
    43001: (WeChatUnavailable, _OURS),
    43002: (WeChatUnavailable, _OURS),
    45009: (WeChatUnavailable, "the mini-program's daily quota is used up"),
    45011: (TooMany, ""),
    47001: (WeChatUnavailable, _OURS),
    48001: (WeChatUnavailable, "the mini-program has no permission for the call"),
    48004: (WeChatUnavailable, "the mini-program's permission was withdrawn"),
    50002: (WeChatUnavailable, "the mini-program is restricted"),
    50004: (WeChatUnavailable, "the mini-program may not ask for tokens"),
    50007: (WeChatUnavailable, "the mini-program's account is frozen"),
    85096: (WeChatUnavailable, _OURS),
    89503: (WeChatUnavailable, "an administrator must confirm this server's address"),
}
_UNKNOWN = (WeChatUnavailable, "a number this program does not know")

logger = logging.getLogger(__name__)
# At debug level it writes whole addresses, and they hold the app secret.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


@dataclass(frozen=True)
class Identity:
    """Who a login code is: `openid` within one app, `unionid` across the company's apps."""

    appid: str
    openid: str
    unionid: str | None


class WeChat:
    """One mini-program's door to WeChat; safe to share between threads."""

    def __init__(
        self, *, appid: str, secret: str, api_url: str = "", redis: Redis | None = None
    ) -> None:
        self._appid, self._secret = appid, secret
        self._tokens = _Tokens(redis)
        # auto_retry refreshes without end while WeChat keeps refusing the token
        self._client = WeChatClient(appid, secret, session=self._tokens, auto_retry=False)
        self._client._http.max_redirects = 0  # an answer that sends the secret elsewhere is none
        self._client._http.mount("https://", _Wire(api_url))

    def log_in(self, code: str) -> Identity:
        """Who a code of wx.login is; the session key it comes with is dropped."""
        asked = {"appid": self._appid, "secret": self._secret, "js_code": code}
        with _refusing():
            response = self._client._http.get(
                f"{WECHAT}/sns/jscode2session",
                params=asked | {"grant_type": "authorization_code"},
            )
            answer = _read(response)
            return Identity(self._appid, answer["openid"], answer.get("unionid") or None)

    def phone(self, code: str) -> str:
        """The phone number a code stands for; outside of China with + and its country."""
        try:
            with _refusing():
                info = self._post("/wxa/business/getuserphonenumber", {"code": code})["phone_info"]
                country, number = str(info["countryCode"]), str(info["purePhoneNumber"])
        except WeChatCodeInvalid:
            raise PhoneCodeInvalid from None  # whoever asks is logged in all the same
        return number if country == "86" else f"+{country}{number}"

    def code_image(self, scene: str, *, page: str = "pages/card/index") -> bytes:
        """A picture that opens a page with a scene; `page` need not be published yet."""
        body = {"scene": scene, "page": page, "check_path": False}
        with _refusing():
            response = self._post("/wxa/getwxacodeunlimit", body)
            if not isinstance(response, requests.Response):
                raise TypeError("JSON instead of a picture")
            if not response.headers.get("Content-Type", "").startswith("image/"):
                raise ValueError("neither JSON nor a picture")
        return response.content

    def _post(self, path: str, body: Mapping[str, object]) -> Any:
        """WeChat's answer to a call that needs a token; a refused token is renewed once."""
        token = self._token()
        try:
            return self._send(path, body, token)
        except WeChatException as failure:
            if failure.errcode not in TOKEN_REFUSED:
                raise
        return self._send(path, body, self._token(refused=token))

    def _send(self, path: str, body: Mapping[str, object], token: str) -> Any:
        return self._client.post(WECHAT + path, params={"access_token": token}, data=dict(body))

    def _token(self, refused: str = "") -> str:
        """The token all processes share; a new one when there is none but the refused one."""
        key = self._client.access_token_key
        held = self._tokens.get(key)
        if held in (None, refused):
            with self._tokens.one_refresher(key):
                held = self._tokens.get(key)  # another may have been quicker
                if held in (None, refused):
                    held = self._client.fetch_access_token()["access_token"]
        return str(held)


class _Tokens:
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
        if not self._refreshing.acquire(timeout=TIMEOUT_S):
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
            held = lock.acquire(blocking_timeout=TIMEOUT_S)
        except RedisError:
            return None
        if not held:
            raise WeChatUnavailable
        return lock


class _Wire(HTTPAdapter):
    """Every call's way out, wechatpy's own token call too: a time limit, and another address.

    Another address is reached directly, whatever proxy the environment names.
    """

    def __init__(self, api_url: str) -> None:
        super().__init__(pool_maxsize=POOL_SIZE)
        self._api_url = api_url.rstrip("/")

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]
        how["timeout"] = TIMEOUT_S
        if self._api_url:
            asked = urlsplit(request.url or "")
            request.url = f"{self._api_url}{asked.path}?{asked.query}"
            how["proxies"] = {}
        with aside():  # up to three seconds, in which this thread does nothing
            return super().send(request, **how)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn every way in which WeChat can fail into one of our refusals."""
    try:
        yield
    except WeChatException as failure:
        raise _refusal(failure.errcode) from None
    except (requests.RequestException, LookupError, TypeError, ValueError) as failure:
        logger.warning("WeChat did not answer as it should: %s", type(failure).__name__)
        raise WeChatUnavailable from None


def _refusal(errcode: object) -> MallError:
    """Our refusal for WeChat's number, None if it gave none; logs what the operator must mend."""
    if not isinstance(errcode, int):
        return WeChatUnavailable()
    kind, mend = REFUSALS.get(errcode, _UNKNOWN)
    if mend:
        logger.error("WeChat answered %d: %s", errcode, mend)
    refusal = kind()
    if isinstance(refusal, TooMany):
        refusal.retry_after_s = 60  # WeChat counts by the minute
    return refusal


def _read(response: requests.Response) -> dict[str, Any]:
    """The JSON of an answer, if it is one and is no error."""
    response.raise_for_status()
    answer = response.json()
    if not isinstance(answer, dict):
        raise TypeError("JSON, but not an object")
    if errcode := answer.get("errcode"):
        raise WeChatException(errcode, "")
    return answer
