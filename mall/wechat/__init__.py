"""WeChat: log-in, phone, codes, subscribe messages, content check, links, and its callbacks."""

from mall.wechat.client import (
    COMMENT,
    NICKNAME,
    SANDBOX_APPID,
    SANDBOX_SECRET,
    Identity,
    WeChat,
)
from mall.wechat.refusals import REFUSALS, TOKEN_REFUSED

__all__ = [
    "COMMENT",
    "NICKNAME",
    "REFUSALS",
    "SANDBOX_APPID",
    "SANDBOX_SECRET",
    "TOKEN_REFUSED",
    "Identity",
    "WeChat",
]
