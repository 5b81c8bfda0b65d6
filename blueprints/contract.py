"""The contract's shapes: strict bodies, idempotency keys, pages, and OpenAPI made from them."""

import json
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import wraps
from typing import Any

import marshmallow as ma
from flask import Response, g, request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import fields, validate
from webargs.flaskparser import FlaskParser

from blueprints.openapi import LARGEST_ID
from mall import idempotency, keys, metrics
from mall.atomic import Contended
from mall.errors import KeyInvalid, KeyMissing, Malformed
from mall.idempotency import Answer, Key, Replayed

MAX_BODY_BYTES = 1024 * 1024
MAX_NUMBER = 10**9
MAX_DEPTH = 20
EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
TRIED_AGAIN, JITTER_S = 3, (0.01, 0.05)
DIGITS = re.compile(r"[0-9]{1,16}")
KEY_PATTERN = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Body(ma.Schema):
    """What a client sends: a field we don't know is refused, and so is one of another type."""

    class Meta:
        unknown = ma.RAISE


class Nothing(Body):
    """An empty body: {} or none at all."""


class Out(ma.Schema):
    """What we answer: every field is always there."""

    def on_bind_field(self, _name: str, field: fields.Field) -> None:
        field.required = True


def whole(low: int, high: int, **options: Any) -> fields.Integer:
    """A whole number within bounds; 3.0, "3" and true are none."""
    return fields.Integer(strict=True, validate=validate.Range(low, high), **options)


def positive(**options: Any) -> fields.Integer:
    return whole(1, MAX_NUMBER, **options)


def signed(**options: Any) -> fields.Integer:
    """A whole number but 0."""
    checks = [validate.Range(-MAX_NUMBER, MAX_NUMBER), validate.NoneOf([0])]
    return fields.Integer(strict=True, validate=checks, metadata={"not": {"const": 0}}, **options)


def an_id(**options: Any) -> fields.Integer:
    return whole(1, LARGEST_ID, **options)


class _Asked(fields.Integer):
    """A whole number in a query, where all is text: digits, as anybody writes them."""

    def _validated(self, value: Any) -> int:
        if not (isinstance(value, str) and DIGITS.fullmatch(value)):
            raise self.make_error("invalid", input=value)
        return int(value)


def whole_asked(low: int, high: int, **options: Any) -> fields.Integer:
    return _Asked(validate=validate.Range(low, high), **options)


def an_id_asked(**options: Any) -> fields.Integer:
    return whole_asked(1, LARGEST_ID, **options)


def text(low: int, high: int, **options: Any) -> fields.String:
    """Text of `low` to `high` characters, not counting blanks at its ends."""
    pattern = Pattern(r"^\S([\s\S]*\S)?$", error="no blanks at the ends")
    checks: list[Any] = [validate.Length(low, high)]
    return fields.String(validate=checks + ([pattern] if low else []), **options)


class YesOrNo(fields.Boolean):
    """true or false in a body; 1 is no true."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Pattern(validate.Regexp):
    """A pattern for the whole of a text: `$` alone would let a line's end follow."""

    def __call__(self, value: str) -> str:
        if not self.regex.fullmatch(value):
            raise ma.ValidationError(self.error)
        return value


def when(**options: Any) -> fields.AwareDateTime:
    """A moment in a body, RFC 3339 with offset, of an age that a zone can't push off the calendar."""
    return fields.AwareDateTime(format="iso", validate=_of_our_age, **options)


def _of_our_age(value: datetime) -> None:
    if not EARLIEST <= value < LATEST:
        raise ma.ValidationError(f"from {EARLIEST.year} to {LATEST.year - 1}")


def a_day(**options: Any) -> fields.Date:
    """A day in a request."""
    return fields.Date(validate=_day_of_our_age, **options)


def _day_of_our_age(value: date) -> None:
    _of_our_age(datetime(value.year, value.month, value.day, tzinfo=UTC))


def moment(**options: Any) -> fields.String:
    """A moment in an answer, RFC 3339 with offset."""
    return fields.String(metadata={"format": "date-time"}, **options)


def business_day(**options: Any) -> fields.String:
    """A shop's day in an answer."""
    return fields.String(metadata={"format": "date"}, **options)


def parse(raw: bytes) -> Any:
    """JSON, strictly: raises Malformed for what two readers could understand differently."""
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_once_each,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
        _walk(value, MAX_DEPTH)
    except (ValueError, RecursionError):
        raise Malformed() from None
    return value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key given twice")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(text)


def _walk(value: Any, depth: int) -> None:
    """Refuse nesting past a depth, and text that no database can keep."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("NUL")
        value.encode("utf-8")  # a lone surrogate raises
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("too deep")
        for item in value.values() if isinstance(value, dict) else value:
            _walk(item, depth - 1)
        if isinstance(value, dict):
            _walk(list(value), depth)


class Parser(FlaskParser):
    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: Any, schema: ma.Schema) -> Any:
        raw = req.get_data(cache=True)
        return parse(raw) if raw else {}

    def load_querystring(self, req: Any, schema: ma.Schema) -> Any:
        if any("\0" in value for _, value in req.args.items(multi=True)):
            raise Malformed()
        if twice := [name for name, values in req.args.lists() if len(values) > 1]:
            raise Malformed(errors={name[:40]: ["given twice"] for name in twice})
        return super().load_querystring(req, schema)

    def handle_error(self, error: ma.ValidationError, *_: Any, **__: Any) -> Any:
        raise Malformed(errors=error.messages) from None


class Blueprint(SmorestBlueprint):
    ARGUMENTS_PARSER = Parser()


def takes_header(name: str, schema: dict[str, str], *, required: bool) -> Callable[..., Any]:
    """Document a header that a view reads."""
    header = {"in": "header", "name": name, "required": required, "schema": schema}

    def decorate(view: Any) -> Any:
        documented = getattr(view, "_apidoc", {})
        known = documented.get("arguments", {})
        parameters = [*known.get("parameters", []), header]
        view._apidoc = {**documented, "arguments": {**known, "parameters": parameters}}
        return view

    return decorate


def idempotent(
    view: Callable[..., Any] | None = None,
    *,
    required: bool = True,
    sealed: bool = False,
    reveal: Callable[[bytes], bytes] | None = None,
    finds: bool = True,
) -> Any:
    """Hand the view its `key`, and give the stored answer where the request was made before.

    `sealed` answers are kept encrypted; `reveal` fills in what a stored answer leaves out. With
    `finds` off the verb looks for the stored answer itself.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def asked(*args: Any, **kwargs: Any) -> Any:
            key = _key(required, sealed)
            try:
                stored = idempotency.find(key) if finds else None
                answer = _reply(stored) if stored else again(view, *args, key=key, **kwargs)
            except Replayed as twin:
                answer = _reply(twin.answer)
            if reveal is not None:
                answer.set_data(reveal(answer.get_data()))
            return answer

        schema = {"type": "string", "pattern": f"^{KEY_PATTERN.pattern}$"}
        return takes_header("Idempotency-Key", schema, required=required)(asked)

    return decorate if view is None else decorate(view)


def again(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Do as the client would who is told 503, where nothing stood in the way but each other."""
    for _ in range(TRIED_AGAIN):
        try:
            return view(*args, **kwargs)
        except Contended:
            metrics.count("contentions")
            time.sleep(random.uniform(*JITTER_S))
    return view(*args, **kwargs)


def _key(required: bool, sealed: bool) -> Key:
    sent = request.headers.get("Idempotency-Key")
    if sent is None and required:
        raise KeyMissing()
    if sent is not None and not KEY_PATTERN.fullmatch(sent):
        raise KeyInvalid()
    assert request.url_rule is not None
    route = f"{request.method} {request.url_rule.rule}"
    caller = g.get("caller", "anyone")
    return Key(caller, route, sent, _fingerprint() if sent else "", sealed=sealed)


def _fingerprint() -> str:
    """What was asked, whatever its white space: path, query and body, which may hold a password."""
    raw = request.get_data(cache=True)
    if request.is_json and raw:
        raw = json.dumps(parse(raw), sort_keys=True).encode()
    asked = request.full_path.encode() + b"\n" + raw
    oldest = list(keys.ring())[-1]  # a ring that is turned keeps it longest
    digest = keys.digest("request", oldest, asked)
    assert digest is not None
    return digest.hex()


def reply(answer: Answer) -> Response:
    """A verb's answer as a response: the very bytes."""
    return _reply(answer)


def _reply(answer: Answer) -> Response:
    response = Response(answer.body, answer.status, content_type="application/json")
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    return response
