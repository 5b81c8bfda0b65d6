"""The OpenAPI document: what flask-smorest makes of the schemas, and what it can't know of us."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import marshmallow as ma
from apispec import BasePlugin
from flask import Flask
from flask_smorest import Api as SmorestApi
from marshmallow import fields
from werkzeug.routing import IntegerConverter, Map

PROBLEM = "application/problem+json"
LARGEST_ID = 10**15 - 1  # any reader of JSON keeps it whole
RETRY_AFTER = {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}
REFUSALS: dict[int, tuple[str, dict[str, Any]]] = {
    400: ("The request can't be read", {}),
    401: ("No token, or one that is no longer good", {}),
    403: ("Another audience's, or not allowed", {}),
    404: ("It does not exist, or is somebody else's", {}),
    409: ("A rule of the shop says no; nothing was changed", {}),
    413: ("The body is larger than 1 MiB", {}),
    422: ("The Idempotency-Key was used with another body", {}),
    429: ("Too many requests", {"Retry-After": RETRY_AFTER}),
    503: ("Not now; the same request may be sent again", {"Retry-After": RETRY_AFTER}),
}


class Problem(ma.Schema):
    """RFC 9457, with a stable `code`; the numbers behind a refusal stand beside these."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True)

    class Meta:
        unknown = ma.INCLUDE


class Alive(ma.Schema):
    status = fields.String(required=True, validate=ma.validate.OneOf(["ok"]))


class Ready(ma.Schema):
    status = fields.String(required=True, validate=ma.validate.OneOf(["ok", "unavailable"]))
    database = fields.String(
        required=True, validate=ma.validate.OneOf(["ok", "not migrated", "unreachable"])
    )
    redis = fields.String(required=True, validate=ma.validate.OneOf(["ok", "unreachable"]))
    sandbox = fields.Boolean(required=True)
    version = fields.String(required=True)


class IdConverter(IntegerConverter):
    """An id in a path; what no id can be leads nowhere, whatever the method."""

    regex = r"[1-9][0-9]{0,14}"

    def __init__(self, map: Map) -> None:
        super().__init__(map, min=1, max=LARGEST_ID)


class Refusals(BasePlugin):
    """Names each operation, files it under its noun, and says how it can be refused."""

    def operation_helper(
        self, path: Any = None, operations: Any = None, *, rule: Any = None, **_: Any
    ) -> None:
        if "." not in rule.endpoint:
            return  # a plain route, which says all of itself
        audience, *noun, _name = rule.endpoint.split(".")
        for method, operation in operations.items():
            operation["operationId"] = rule.endpoint
            operation["tags"] = [": ".join([audience, *noun])]
            for status in _statuses(method, operation, in_path=bool(rule.arguments)):
                operation["responses"].setdefault(str(status), HTTPStatus(status).name)


def _statuses(method: str, operation: dict[str, Any], *, in_path: bool) -> Iterator[int]:
    public = operation.get("security") == []
    yield from (429, 503) if public else (401, 403, 429, 503)
    if in_path:
        yield 404
    if method != "get":
        yield from (409, 413)
    if "Idempotency-Key" in [each.get("name") for each in operation.get("parameters", [])]:
        yield from (400, 422)


def _content(kind: str, schema: Any) -> dict[str, Any]:
    return {kind: {"schema": schema}}


class Api(SmorestApi):
    ERROR_SCHEMA = Problem

    def init_app(self, app: Flask, *, spec_kwargs: dict[str, Any] | None = None) -> None:
        app.url_map.converters["id"] = IdConverter
        super().init_app(app, spec_kwargs={"extra_plugins": [Refusals()], **(spec_kwargs or {})})
        scheme = {"type": "http", "scheme": "bearer"}
        self.spec.components.security_scheme("bearer", scheme)

    def register_blueprint(self, blp: Any, **options: Any) -> None:
        """Register a folder, with a tag for each noun in it."""
        super().register_blueprint(blp, **options)
        if blp._blueprints:
            self.spec._tags.pop()  # the folder's own, under which nothing is filed
        for child, _ in blp._blueprints:
            tag = {"name": f"{blp.name}: {child.name}", "description": child.description}
            self.spec.tag(tag)

    def describe_plain_routes(self, app: Flask) -> None:
        """Say what the routes outside the contract's base path answer."""
        self.spec.tag({"name": "machine", "description": "For load balancers and Prometheus"})
        alive, ready = _content("application/json", Alive), _content("application/json", Ready)
        self._plain(app, "livez", "Whether the process is alive.", {200: alive})
        told = "Whether the database is reachable and migrated; Redis only degrades."
        self._plain(app, "readyz", told, {200: ready, 503: ready})
        numbers = _content("text/plain", {"type": "string"})
        self._plain(app, "metrics", "Numbers for Prometheus.", {200: numbers})

    def _plain(
        self, app: Flask, name: str, summary: str, answers: dict[int, dict[str, Any]]
    ) -> None:
        operation = {
            "operationId": name,
            "summary": summary,
            "tags": ["machine"],
            "security": [],
            "responses": {
                str(status): {"description": HTTPStatus(status).phrase, "content": content}
                for status, content in answers.items()
            },
        }
        rule = next(app.url_map.iter_rules(name))
        self.spec.path(rule=rule, operations={"get": operation})

    def _register_responses(self) -> None:
        """Refusals are problem+json."""
        content = {PROBLEM: {"schema": Problem}}
        for status, (description, headers) in REFUSALS.items():
            response = {"description": description, "headers": headers, "content": content}
            self.spec.components.response(HTTPStatus(status).name, response, lazy=True)
        refused = {"description": "Any other refusal", "content": content}
        self.spec.components.response(self.DEFAULT_ERROR_RESPONSE_NAME, refused, lazy=True)

    def _register_pagination_header(self) -> None:
        """Pages carry their cursor in the body."""

    def _register_error_handlers(self) -> None:
        """blueprints/errors.py has the one table of statuses."""
