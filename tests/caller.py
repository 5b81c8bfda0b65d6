"""A client that calls as somebody, and holds every answer against the OpenAPI document."""

import re
import secrets
from typing import Any

from flask import Flask, has_app_context
from jsonschema import Draft202012Validator
from werkzeug.test import TestResponse

from models import db

BASE = "/api/v1"


class Contract:
    """The OpenAPI document as a judge of answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.routes = [
            (re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), item)
            for path, item in sorted(document["paths"].items(), key=lambda p: p[0].count("{"))
        ]
        self.validators: dict[str, Draft202012Validator] = {}

    def check(self, method: str, path: str, response: TestResponse) -> None:
        """Raise where an answer is not what the document says."""
        found = next((item for pattern, item in self.routes if pattern.match(path)), None)
        if found is None or method.lower() not in found:
            assert response.status_code in (404, 405), f"{method} {path} is not documented"
            return
        responses = found[method.lower()]["responses"]
        said = responses.get(str(response.status_code)) or responses["default"]
        said = self._resolved(said)
        if response.status_code == 204:
            assert not response.data and "content" not in said
            return
        kind = response.content_type.partition(";")[0]
        assert kind in said["content"], f"{method} {path}: {kind} is not documented"
        if kind.endswith("json"):
            self._validate(said["content"][kind]["schema"], response.get_json(force=True))

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def _validate(self, schema: dict[str, Any], body: Any) -> None:
        whole = {**schema, "components": self.document["components"]}
        key = str(schema)
        if key not in self.validators:
            self.validators[key] = Draft202012Validator(whole)
        self.validators[key].validate(body)


class Caller:
    """Calls the API with somebody's token; a POST gets a fresh key unless `key` says otherwise."""

    def __init__(self, app: Flask, contract: Contract, token: str | None = None) -> None:
        self.app, self.contract, self.token = app, contract, token

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(
        self, path: str, body: Any = None, *, key: str | None = "new", **more: Any
    ) -> TestResponse:
        headers = dict(more.pop("headers", {}))
        if key is not None:
            headers["Idempotency-Key"] = secrets.token_hex(16) if key == "new" else key
        if "data" not in more:
            more["json"] = {} if body is None else body
        return self.call("POST", path, headers=headers, **more)

    def patch(self, path: str, body: Any, **options: Any) -> TestResponse:
        return self.call("PATCH", path, json=body, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        return self.call("DELETE", path, **options)

    def call(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = dict(options.pop("headers", {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if has_app_context():
            db.session.rollback()  # what the test has read so far is read again from here on
        with self.app.app_context(), self.app.test_client() as client:  # a session of its own
            response = client.open(BASE + path, method=method, headers=headers, **options)
        self.contract.check(method, BASE + path.partition("?")[0], response)
        return response
