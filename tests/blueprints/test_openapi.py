"""The OpenAPI document: valid, complete, and worth reading."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31

from blueprints.openapi import LARGEST_ID

PUBLIC = {
    "POST /api/v1/auth/wechat",
    "POST /api/v1/auth/staff",
    "POST /api/v1/touches",
    "GET /api/v1/policies",
    "GET /api/v1/wxacodes/{invite_code}.png",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
}
PROBLEM = "application/problem+json"


@pytest.fixture
def document(contract) -> dict[str, Any]:
    return contract.document


@pytest.fixture
def operations(document) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": {**operation, "in_path": item.get("parameters", [])}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(node, dict):
        yield node
    for inner in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from nodes(inner)


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def test_the_document_is_valid_openapi_3_1(document):
    judge = jsonschema_rs.Draft202012Validator(OPENAPI_31)

    wrong = [(list(error.instance_path), error.message) for error in judge.iter_errors(document)]

    assert document["openapi"] == "3.1.0"
    assert wrong == []


def test_every_schema_in_it_is_a_valid_schema(document):
    schemas = document["components"]["schemas"]

    wrong = {name: jsonschema_rs.meta.is_valid(schema) for name, schema in schemas.items()}

    assert {name for name, valid in wrong.items() if not valid} == set()


def test_every_reference_leads_somewhere_and_nothing_lies_unused(document):
    references = {node["$ref"] for node in nodes(document) if "$ref" in node}

    targets = [resolved(document, {"$ref": reference}) for reference in sorted(references)]

    assert all(targets)
    parts = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses")
        for name in document["components"][kind]
    }
    assert parts - references == set()


def test_every_operation_has_a_sentence_a_name_and_a_noun(document, operations):
    names = [operation["operationId"] for operation in operations.values()]
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}

    silent = {name for name, each in operations.items() if not each["summary"].endswith(".")}

    assert silent == set()
    assert len(names) == len(set(names))
    assert all(tags.get(tag) for each in operations.values() for tag in each["tags"])
    assert set(tags) == {tag for each in operations.values() for tag in each["tags"]}
    assert {len(each["tags"]) for each in operations.values()} == {1}


def test_every_parameter_of_a_path_is_documented(operations):
    missing = {
        name: part
        for name, operation in operations.items()
        for part in name.split("/")
        if part.startswith("{")
        and part[1:].partition("}")[0] not in [p["name"] for p in operation["in_path"]]
    }

    ids = [
        p["schema"] for each in operations.values() for p in each["in_path"] if "_id" in p["name"]
    ]

    assert missing == {}
    assert [s for s in ids if s != {"type": "integer", "minimum": 1, "maximum": LARGEST_ID}] == []


def test_who_needs_a_token_is_told(document, operations):
    open_to_all = {name for name, each in operations.items() if each.get("security") == []}

    scheme = document["components"]["securitySchemes"]["bearer"]

    assert open_to_all == PUBLIC
    assert document["security"] == [{"bearer": []}]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_post_documents_its_key(operations):
    keys = {
        name: [p for p in each.get("parameters", []) if p["name"] == "Idempotency-Key"]
        for name, each in operations.items()
    }

    posts = {name for name in operations if name.startswith("POST ")}

    assert {name for name, found in keys.items() if found} == posts
    assert {p["schema"]["pattern"] for name in posts for p in keys[name]} == {
        "^[A-Za-z0-9_-]{16,64}$"
    }


def test_a_parameter_is_documented_once_and_none_is_lost(operations):
    named = {
        name: [(p["in"], p["name"]) for p in each.get("parameters", []) + each["in_path"]]
        for name, each in operations.items()
    }

    assert {name for name, found in named.items() if len(found) != len(set(found))} == set()
    assert ("query", "dry_run") in named["POST /api/v1/admin/imports/members"]
    assert ("query", "dry_run") in named["POST /api/v1/admin/imports/purchases"]
    assert ("header", "If-Match") in named["PATCH /api/v1/admin/rewards/{reward_id}"]


def test_every_refusal_is_a_problem(document, operations):
    refusals = [
        resolved(document, response)
        for name, each in operations.items()
        for status, response in each["responses"].items()
        if name != "GET /readyz"  # which says what is not ready in either case
        if status == "default" or int(status) >= 400
    ]

    kinds = {tuple(response["content"]) for response in refusals}

    assert kinds == {(PROBLEM,)}
    schemas = [response["content"][PROBLEM]["schema"] for response in refusals]
    assert {schema["$ref"] for schema in schemas} == {"#/components/schemas/Problem"}
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) == {"type", "title", "status", "detail", "code"}
    assert problem["additionalProperties"] is True  # the numbers behind a refusal


def test_the_refusals_that_can_be_foreseen_are_told(document, operations):
    told = {name: set(each["responses"]) for name, each in operations.items()}

    guarded = {name for name in told if name not in PUBLIC}
    posts = {name for name in told if name.startswith("POST ")}
    by_id = {name for name, each in operations.items() if each["in_path"]}

    assert {name for name in guarded if not told[name] >= {"401", "403", "429", "503"}} == set()
    assert {name for name in posts if not told[name] >= {"400", "409", "413", "422"}} == set()
    assert {name for name in by_id if "404" not in told[name]} == set()
    for status in ("TOO_MANY_REQUESTS", "SERVICE_UNAVAILABLE"):
        assert "Retry-After" in document["components"]["responses"][status]["headers"]


def test_every_success_is_told(operations):
    successes = {
        name.replace("/api/v1", ""): {status for status in each["responses"] if status < "300"}
        for name, each in operations.items()
    }

    unlike = {name: found for name, found in successes.items() if found != {"200"}}

    assert unlike == {
        "DELETE /auth/me/session": {"204"},
        "DELETE /auth/me/sessions": {"204"},
        "POST /admin/staff": {"201"},
        "POST /admin/policies": {"201"},
        "POST /me/consents": {"201"},
        "POST /me/checkins": {"200", "201"},
        "POST /me/checkins/make-ups": {"201"},
        "POST /admin/checkin-rules": {"201"},
        "POST /admin/outages": {"201"},
        "POST /admin/message-templates": {"201"},
        "POST /admin/tasks": {"201"},
        "POST /admin/tasks/{version_id}/retirement": {"201"},
        "POST /me/tasks/{task_id}/claims": {"201"},
        "POST /me/reviews": {"201"},
        "POST /admin/bundles": {"201"},
        "POST /admin/referral-rules": {"201"},
        "POST /admin/channels": {"201"},
        "POST /admin/expiry-policies": {"201"},
        "POST /admin/payment-rules": {"201"},
        "POST /clerk/points-payments": {"200", "201"},
        "POST /admin/earning-rules": {"201"},
        "POST /admin/tiers": {"201"},
        "POST /admin/tier-rules": {"201"},
        "POST /admin/members/{member_id}/tier-grants": {"201"},
        "POST /clerk/benefits/{code}/use": {"201"},
        "POST /me/redemptions": {"201"},
        "POST /clerk/purchases": {"201"},
        "POST /clerk/purchases/{purchase_id}/refunds": {"201"},
        "POST /me/transfers": {"201"},
        "POST /admin/members/{member_id}/holds": {"201"},
        "POST /admin/rewards": {"201"},
        "POST /admin/rewards/{reward_id}/stock-moves": {"201"},
        "POST /admin/rewards/{reward_id}/stock-transfers": {"201"},
        "POST /admin/members/{member_id}/points-adjustments": {"201", "202"},
        "POST /admin/stores": {"201"},
        "POST /admin/members/{member_id}/merge": {"201"},
        "POST /admin/points-campaigns": {"201"},
        "POST /admin/points-campaigns/{campaign_id}/run": {"200", "202"},
    }


def test_no_body_and_no_answer_may_hold_what_is_not_said(document):
    schemas = document["components"]["schemas"]

    loose = {
        name for name, schema in schemas.items() if schema.get("additionalProperties") is not False
    }

    assert loose == {"Problem"}
    answers = {name: s for name, s in schemas.items() if name.endswith(("Out", "Page", "Session"))}
    assert {
        n for n, s in answers.items() if set(s.get("required", [])) != set(s["properties"])
    } == set()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/livez", "application/json"),
        ("/readyz", "application/json"),
        ("/metrics", "text/plain"),
    ],
)
def test_what_a_machine_asks_is_told_as_it_is_answered(app, contract, path, kind):
    with app.test_client() as client:
        answer = client.get(path)

    assert (answer.status_code, answer.mimetype) == (200, kind)
    contract.check("GET", path, answer)


def test_the_document_is_served_to_everybody_as_json(app):
    with app.test_client() as client:
        answer = client.get("/api/openapi.json")

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.json["info"]["title"] == "会员运营中心"
