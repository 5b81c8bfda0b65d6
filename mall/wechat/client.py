"""WeChat's server: who a login code is, which phone a code stands for, the picture of a code.

This package is the only importer of wechatpy, of which it uses the client, the token call and the
token store. The phone number, the content check of today and links are no calls of wechatpy 1.8:
they go through its client's own `post`. The app secret and session keys never leave here: they
travel in addresses, so every failure is raised without its cause.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from redis import Redis
from wechatpy import WeChatClient
from wechatpy.exceptions import WeChatException

from mall.errors import PhoneCodeInvalid, WeChatCodeInvalid
from mall.wechat.refusals import BUSY, TOKEN_REFUSED, read, refusing
from mall.wechat.tokens import Tokens
from mall.wechat.wire import Wire, in_time

SANDBOX_APPID = "wxsandbox0000000001"  # what the sandbox accepts; it imports nothing of ours
SANDBOX_SECRET = "sandbox-secret"

WECHAT = "https://api.weixin.qq.com"
NICKNAME, COMMENT = 1, 2  # scenes of msgSecCheck: a profile, a comment
LONGEST_CHECKED = 2_500


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
        self._tokens = Tokens(redis)
        # auto_retry refreshes without end while WeChat keeps refusing the token
        self._client = WeChatClient(appid, secret, session=self._tokens, auto_retry=False)
        self._client._http.max_redirects = 0  # an answer that sends the secret elsewhere is none
        self._client._http.mount("https://", Wire(api_url))

    def log_in(self, code: str) -> Identity:
        """Who a code of wx.login is; the session key it comes with is dropped."""
        asked = {"appid": self._appid, "secret": self._secret, "js_code": code}
        asked["grant_type"] = "authorization_code"
        with _asking():
            address = f"{WECHAT}/sns/jscode2session"
            answer = _again(lambda: read(self._client._http.get(address, params=asked)))
            return Identity(self._appid, answer["openid"], answer.get("unionid") or None)

    def phone(self, code: str) -> str:
        """The phone number a code stands for; outside of China with + and its country."""
        try:
            with _asking():
                info = self._post("/wxa/business/getuserphonenumber", {"code": code})["phone_info"]
                country, number = str(info["countryCode"]), str(info["purePhoneNumber"])
        except WeChatCodeInvalid:
            raise PhoneCodeInvalid from None  # whoever asks is logged in all the same
        return number if country == "86" else f"+{country}{number}"

    def code_image(self, scene: str, *, page: str = "pages/card/index") -> bytes:
        """A picture that opens a page with a scene; `page` need not be published yet."""
        body = {"scene": scene, "page": page, "check_path": False}
        with _asking():
            response = self._post("/wxa/getwxacodeunlimit", body)
            if not isinstance(response, requests.Response):
                raise TypeError("JSON instead of a picture")
            if not response.headers.get("Content-Type", "").startswith("image/"):
                raise ValueError("neither JSON nor a picture")
        return response.content

    def send(
        self, openid: str, template_id: str, data: Mapping[str, str], *, page: str = ""
    ) -> None:
        """Send a subscribe message; a consent of the user's is used up by it.

        Raises SubscriptionRefused where there is none, MessageUnfit where it can never be sent,
        WeChatUnavailable where nobody knows whether it was.
        """
        values = {name: {"value": value} for name, value in data.items()}
        body = {"touser": openid, "template_id": template_id, "data": values, "lang": "zh_CN"}
        with _asking():
            self._post("/cgi-bin/message/subscribe/send", body | ({"page": page} if page else {}))

    def is_fit(self, openid: str, text: str, *, scene: int) -> bool:
        """Whether WeChat finds nothing against a text (msgSecCheck version 2).

        Its number 0 means only that the call worked; the verdict is what it suggests. Raises
        TextUnchecked for a user who was not here in the last two hours.
        """
        body = {"version": 2, "openid": openid, "scene": scene, "content": text[:LONGEST_CHECKED]}
        with _asking():
            answer = self._post("/wxa/msg_sec_check", body)
            return str(answer["result"]["suggest"]) == "pass"

    def link(self, path: str, query: str, *, lasts_days: int) -> str:
        """An address that opens the mini-program at a page, from outside of WeChat too."""
        body = {"path": path, "query": query, "expire_type": 1, "expire_interval": lasts_days}
        with _asking():
            return str(self._post("/wxa/generate_urllink", body)["url_link"])

    def _post(self, path: str, body: Mapping[str, object]) -> Any:
        """WeChat's answer to a call that needs a token; a refused token is renewed once."""
        token = self._token()
        try:
            return _again(lambda: self._send(path, body, token))
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


@contextmanager
def _asking() -> Iterator[None]:
    """A call, from the token it may need to the last byte of the answer, within its time."""
    with refusing(), in_time():
        yield


def _again(call: Callable[[], Any]) -> Any:
    """Ask once more where WeChat says it was busy: then it has done nothing."""
    try:
        return call()
    except WeChatException as failure:
        if failure.errcode != BUSY:
            raise
    return call()
