"""What WeChat's error numbers mean to us: a refusal that a caller can be told, and who must mend it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from wechatpy.exceptions import WeChatException

from mall.errors import (
    MallError,
    MessageUnfit,
    SubscriptionRefused,
    TextUnchecked,
    TooMany,
    WeChatCodeInvalid,
    WeChatRiskUser,
    WeChatUnavailable,
)

TOKEN_REFUSED = (40001, 40014, 42001)
BUSY = -1  # nothing was done, and WeChat says to ask again
A_MINUTE_S = 60

_OURS = "the request is wrong"
REFUSALS: dict[int, tuple[type[MallError], str]] = {
    # number: what the caller is told, and what the operator must mend
    BUSY: (WeChatUnavailable, ""),
    40001: (WeChatUnavailable, "the access token or WECHAT_SECRET is refused"),
    40002: (WeChatUnavailable, _OURS),
    40003: (MessageUnfit, ""),  # the openid is nobody's of this mini-program
    40013: (WeChatUnavailable, "WECHAT_APPID is refused"),
    40014: (WeChatUnavailable, "the access token is refused"),
    40029: (WeChatCodeInvalid, ""),
    40037: (MessageUnfit, "the mini-program has no such template of subscribe messages"),
    40038: (TooMany, ""),
    40066: (WeChatUnavailable, "WECHAT_API_URL does not know the call"),
    40097: (WeChatUnavailable, _OURS),
    40125: (WeChatUnavailable, "WECHAT_SECRET is refused"),
    40129: (WeChatUnavailable, "a scene has a character that WeChat does not take"),
    40163: (WeChatCodeInvalid, ""),
    40164: (WeChatUnavailable, "this server's address is not on the mini-program's IP whitelist"),
    40165: (WeChatUnavailable, "the mini-program has no such page for a link"),
    40169: (WeChatUnavailable, "a scene must have 1 to 32 characters"),
    40212: (WeChatUnavailable, "the query of a link is wrong"),
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
    43101: (SubscriptionRefused, ""),
    43104: (TextUnchecked, ""),  # the openid is another mini-program's
    43107: (MessageUnfit, "the mini-program may not send subscribe messages"),
    43108: (TooMany, ""),
    44002: (WeChatUnavailable, _OURS),
    44990: (TooMany, ""),
    44993: (WeChatUnavailable, "no more links that last so long can be made"),
    45009: (WeChatUnavailable, "the mini-program's daily quota is used up"),
    45011: (TooMany, ""),
    45168: (MessageUnfit, "a message has a word that WeChat forbids"),
    47001: (WeChatUnavailable, _OURS),
    47003: (MessageUnfit, "a variable of a subscribe message does not fit its template"),
    48001: (WeChatUnavailable, "the mini-program has no permission for the call"),
    48004: (WeChatUnavailable, "the mini-program's permission was withdrawn"),
    50002: (WeChatUnavailable, "the mini-program is restricted"),
    50004: (WeChatUnavailable, "the mini-program may not ask for tokens"),
    50007: (WeChatUnavailable, "the mini-program's account is frozen"),
    61010: (TextUnchecked, ""),  # the user was not here in the last two hours
    85079: (WeChatUnavailable, "the mini-program has not been published"),
    85096: (WeChatUnavailable, _OURS),
    85401: (WeChatUnavailable, "a link's time is out of bounds"),
    85402: (WeChatUnavailable, "a link's time is out of bounds"),
    85407: (WeChatUnavailable, "the mini-program may not make links"),
    87014: (MessageUnfit, ""),
    89503: (WeChatUnavailable, "an administrator must confirm this server's address"),
}
_UNKNOWN = (WeChatUnavailable, "a number this program does not know")

logger = logging.getLogger(__name__)


@contextmanager
def refusing() -> Iterator[None]:
    """Turn every way in which WeChat can fail into one of our refusals."""
    try:
        yield
    except WeChatException as failure:
        raise refusal(failure.errcode) from None
    except (requests.RequestException, LookupError, TypeError, ValueError) as failure:
        logger.warning("WeChat did not answer as it should: %s", type(failure).__name__)
        raise WeChatUnavailable from None


def refusal(errcode: object) -> MallError:
    """Our refusal for WeChat's number, None if it gave none; logs what the operator must mend."""
    if not isinstance(errcode, int):
        return WeChatUnavailable()
    kind, mend = REFUSALS.get(errcode, _UNKNOWN)
    if mend:
        logger.error("WeChat answered %d: %s", errcode, mend)
    told = kind()
    if isinstance(told, TooMany):
        told.retry_after_s = A_MINUTE_S  # WeChat counts by the minute
    return told


def read(response: requests.Response) -> dict[str, Any]:
    """The JSON of an answer, if it is one and is no error."""
    response.raise_for_status()
    answer = response.json()
    if not isinstance(answer, dict):
        raise TypeError("JSON, but not an object")
    if errcode := answer.get("errcode"):
        raise WeChatException(errcode, "")
    return answer
