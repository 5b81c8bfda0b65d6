"""WeChat's refusals: HTTP 200 and a JSON body that carries the number."""

import secrets
from typing import Any

MEANINGS = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40014: "invalid access_token",
    40029: "invalid code",
    40037: "invalid template_id",
    40066: "invalid url",
    40125: "invalid appsecret",
    40129: "invalid scene",
    40163: "code been used",
    40164: "invalid ip, not in whitelist",
    40165: "invalid weapp pagepath",
    40212: "invalid query",
    40169: "invalid length for scene, or the data is not json string",
    40226: "code blocked",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41008: "missing code",
    41030: "invalid page",
    42001: "access_token expired",
    43001: "require GET method",
    43002: "require POST method",
    43101: "user refuse to accept the msg",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    47001: "data format error",
    47003: "argument invalid",
    48001: "api unauthorized",
    61010: "user access log is expired",
    85401: "invalid expire time",
}


class Refusal(Exception):
    """A call that WeChat would not carry out."""

    def __init__(self, errcode: int) -> None:
        super().__init__(errcode)
        self.errcode = errcode

    def body(self) -> dict[str, Any]:
        """What WeChat sends; like there, the text ends with a number of the request."""
        text = MEANINGS.get(self.errcode, "error")
        return {"errcode": self.errcode, "errmsg": f"{text}, rid: {secrets.token_hex(12)}"}
