"""Exceptions to problem+json (RFC 9457). The only table of statuses."""

import json
import logging
from functools import lru_cache
from typing import Any

from flask import Flask, Response, g, request
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.datastructures import LanguageAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header

from mall import errors

log = logging.getLogger(__name__)

LONGEST_ACCEPT = 200  # characters of Accept-Language that are read

STATUS: tuple[tuple[type[errors.MallError], int], ...] = (
    (errors.KeyReused, 422),
    (errors.Malformed, 400),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Refused, 409),
    (errors.TooMany, 429),
    (errors.Unavailable, 503),
)
TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Content too large",
    422: "Unprocessable content",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
}
OF_HTTP = {  # what the framework itself refuses: code, Chinese, English
    400: ("malformed", "请求格式不正确", "The request is malformed."),
    404: ("not_found", "没有找到", "Not found."),
    405: ("method_not_allowed", "不支持该请求方法", "This method is not supported here."),
    413: ("too_large", "请求内容超过 1 MiB", "The body is larger than 1 MiB."),
    415: ("malformed", "请使用 JSON", "Please send JSON."),
}
OF_BUG = ("internal_error", "服务出错，请稍后再试", "Something went wrong on our side.")


def register(app: Flask) -> None:
    app.register_error_handler(errors.MallError, _refusal)
    app.register_error_handler(HTTPException, _framework)
    app.register_error_handler(DBAPIError, _database_failed)
    app.register_error_handler(PoolTimeout, _store_away)
    app.register_error_handler(RedisError, _store_away)
    app.register_error_handler(Exception, _bug)


def language() -> str:
    """`en` where the caller prefers English to Chinese, else `zh`."""
    return _language(request.headers.get("Accept-Language", ""))


@lru_cache(maxsize=256)
def _language(accepted: str) -> str:
    known = parse_accept_header(accepted[:LONGEST_ACCEPT], LanguageAccept)
    return known.best_match(["zh", "zh-CN", "en"], "zh")[:2]


def status_of(error: errors.MallError) -> int:
    return next(status for family, status in STATUS if isinstance(error, family))


def problem(
    status: int, code: str, detail: str, details: dict[str, Any], retry_after_s: int | None = None
) -> Response:
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        **details,
    }
    if retry_after_s is not None:
        body["retry_after_s"] = retry_after_s
    text = json.dumps(body, ensure_ascii=False)
    response = Response(text, status, content_type="application/problem+json")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _refusal(error: errors.MallError) -> Response:
    g.refused = error.code
    sentence = error.sentence(language())
    return problem(status_of(error), error.code, sentence, error.details, error.retry_after_s)


def _framework(error: HTTPException) -> Response:
    status = error.code or 500
    if status == 415:
        status = 400
    code, zh, en = OF_HTTP.get(status, OF_BUG if status >= 500 else OF_HTTP[400])
    answer = problem(status, code, en if language() == "en" else zh, {})
    for name, value in error.get_headers():
        if name in ("Allow", "Location"):
            answer.headers[name] = value
    return answer


def _store_away(error: Exception) -> Response:
    log.error("a store did not answer: %s", error)
    return _refusal(errors.Unavailable())


def _database_failed(error: DBAPIError) -> Response:
    """A database that went away asks to come back; one that can't do what it is told is a bug."""
    away = isinstance(error, OperationalError) or error.connection_invalidated
    return _store_away(error) if away else _bug(error)


def _bug(error: Exception) -> Response:
    log.exception("a bug", exc_info=error)
    code, zh, en = OF_BUG
    return problem(500, code, en if language() == "en" else zh, {})
