"""The families of refusals, from which HTTP learns its status."""


class MallError(Exception):
    """Something the caller can be told: `code` is stable, `details` are the numbers behind it."""

    code = "error"
    zh = "操作未完成"
    en = "That could not be done."
    retry_after_s: int | None = None

    def __init__(self, *, retry_after_s: int | None = None, **details: object) -> None:
        self.details = details
        self.retry_after_s = retry_after_s or type(self).retry_after_s
        super().__init__(f"{self.code} {details}" if details else self.code)

    def sentence(self, language: str = "zh") -> str:
        """The sentence a shopper can be shown, in `zh` or `en`."""
        return (self.en if language == "en" else self.zh).format(**self.details)


class Malformed(MallError):
    """400: the request itself can't be read."""

    code, zh, en = "malformed", "请求格式不正确", "The request is malformed."


class Unauthenticated(MallError):
    """401: no token, or one that is not ours or no longer good."""

    code, zh, en = "unauthenticated", "请先登录", "Please log in."


class Forbidden(MallError):
    """403: the caller is known and may not do this."""

    code, zh, en = "forbidden", "没有权限进行此操作", "You are not allowed to do this."


class NotFound(MallError):
    """404: it does not exist, or is somebody else's."""

    code, zh, en = "not_found", "没有找到", "Not found."


class Refused(MallError):
    """409: a rule of the shop says no; nothing was changed."""

    code, zh, en = "refused", "操作被拒绝", "Refused."


class TooMany(MallError):
    """429: too often; `retry_after_s` says when to come back."""

    code, zh, en = (
        "too_many_requests",
        "操作太频繁，请稍后再试",
        "Too many requests, please wait a moment.",
    )
    retry_after_s = 1


class Unavailable(MallError):
    """503: not now; the same request may be sent again."""

    code, zh, en = "unavailable", "服务繁忙，请稍后再试", "The service is busy, please try again."
    retry_after_s = 2
