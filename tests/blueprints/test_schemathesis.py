"""Requests made up from the OpenAPI document, right ones and wrong ones, by every audience.

The same requests each time: what is made up follows from this file alone. Half of the paths lead
to rows that are there, since made-up ids never do.

Of schemathesis' checks these run, on every answer:
- not_a_server_error: whatever is sent, no 5xx.
- status_code_conformance, and stricter `foreseen`: `default` stands for no status we know of.
- content_type_conformance, response_schema_conformance, response_headers_conformance: the document
  is what clients are generated from.
- negative_data_rejection: a body or a parameter that breaks its schema is a 4xx, never taken.

And these do not, on purpose:
- positive_data_acceptance: the rules of the shop answer 400 to what no schema can say: a birthday
  to come, a tier there is none of, a cursor we did not make, a CSV without its columns.
- ignored_auth, and tokens in what is made up: a wrong token is all that would ever be met.
  test_roles.py asks every route as every role and as nobody.
- missing_required_header, unsupported_method, allow_header_conformance: they judge cases of
  schemathesis' coverage phase; test_idempotency.py, admin/test_rewards.py and test_refusals.py
  try each header and method by hand.
- use_after_free, ensure_resource_availability, object_level_authorization: they need DELETE or
  links between operations, and we have neither; test_roles.py and the nouns' tests cover others' objects.
- max_response_time: it would measure the machine.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from models import db

ANY_TEXT = {"type": "string", "minLength": 1}
AUDIENCES = {"shopper": {"shopper", "auth", "public"}, "clerk": {"clerk"}, "admin": {"admin"}}
EXAMPLES = 10  # right ones and as many wrong ones, for each operation
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def foreseen(_ctx: Any, response: Any, case: Any) -> None:
    """The document names this very status."""
    named = case.operation.definition.raw["responses"]
    assert str(response.status_code) in named, f"{response.status_code} is not documented"


CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    foreseen,
]


@pytest.fixture
def as_a_server(app) -> Callable[..., Iterable[bytes]]:
    """The application as a server runs it: each request has a session of its own."""

    def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with app.app_context():
            return app(environ, start_response)

    return wsgi


def operations_for(audience: str, wsgi: Any) -> list[Any]:
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", wsgi)
    del schema.raw_schema["security"]
    found = [result.ok() for result in schema.get_all_operations()]
    return [each for each in found if each.tags[0].partition(":")[0] in AUDIENCES[audience]]


def can_be_wrong(operation: Any) -> bool:
    """Whether there is anything to get wrong: a text in a path can be any text."""
    schemas = [each.definition["schema"] for each in operation.iter_parameters()]
    return bool(operation.body) or any(schema != ANY_TEXT for schema in schemas)


def try_out(operation: Any, mode: GenerationMode, token: str, real: dict[str, Any]) -> Counter[int]:
    """Make up requests for an operation; answers how often each status was met."""
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), there=st.booleans())
    def ask(case: Any, there: bool) -> None:
        if there and mode is GenerationMode.POSITIVE:
            case.path_parameters = {
                n: real.get(n, v) for n, v in (case.path_parameters or {}).items()
            }
        headers = {"Authorization": f"Bearer {token}"}
        answer = case.call_and_validate(headers=headers, checks=CHECKS)
        statuses[answer.status_code] += 1

    ask()
    return statuses


@pytest.mark.parametrize("audience", AUDIENCES)
def test_made_up_requests_find_no_bug(audience, busy_shop, as_a_server):
    redemption = busy_shop["redemptions"][-1]
    real = {
        "reward_id": busy_shop["rewards"][0].id,
        "redemption_id": redemption["id"],
        "member_id": busy_shop["friends"][0].id,
        "adjustment_id": busy_shop["adjustments"][0]["id"],
        "code": redemption["voucher"]["code"],
        "invite_code": busy_shop["invite_code"],
        "version_id": busy_shop["tasks"][0]["id"],
        "task_id": busy_shop["tasks"][1]["task_id"],
        "review_id": busy_shop["reviews"][0]["id"],
    }
    token = busy_shop[audience].token
    db.session.rollback()  # the test's own session waits for nobody

    met = {
        (operation.label, mode): try_out(operation, mode, token, real)
        for operation in operations_for(audience, as_a_server)
        for mode in MODES
        if mode is GenerationMode.POSITIVE or can_be_wrong(operation)
    }

    total = sum(met.values(), Counter())
    assert {200, 400} <= set(total) and max(total) < 500
    assert total.total() > 8 * len(met)
