"""What a body may be: one JSON object in UTF-8, of the fields we know, not too deep, not too large."""

import io
import json

import pytest

from blueprints.contract import MAX_BODY_BYTES, MAX_DEPTH, parse
from mall.errors import Malformed
from tests.blueprints.routes import CALLS, FILES, HEADERS

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"  # one sign made of seven
NICKNAME = f"e\u0301 {FAMILY}\u00a0\u0130\ufeff\U0001f3fd\u5c0f\u660e"
AMBIGUOUS = (
    b"{",
    b"{}{}",
    b"nonsense",
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}',
    b"\xff\xfe{\x00}\x00",
    b"{'a': 1}",
    b'{"a": 1,}',
    b'{"a": 1, "a": 1}',
    b'{"a": {"b": 1, "b": 1}}',
    b'{"a": "\\u0000"}',
    b'{"a": "\x00"}',
    b'{"\\u0000": 1}',
    b'{"a": "\\ud800"}',
    b'{"\\udfff": 1}',
    b'{"a": 1.0}',
    b'{"a": NaN}',
)
NO_OBJECTS = (b"[]", b"null", b"1", b'"text"', b"true", b"[{}]")


def send(caller, call, data: bytes, **headers: str):
    headers = {**HEADERS, **headers}
    if call.method == "PATCH":
        return caller.call("PATCH", call.path, data=data, headers=headers)
    return caller.post(call.path, data=data, headers=headers)


def each_call(as_role, data_of, calls=CALLS) -> dict:
    """What each call is answered to some data."""
    return {call.name: send(as_role(call.role), call, data_of(call)) for call in calls}


def said(answer) -> tuple[int, str, str]:
    return answer.status_code, answer.content_type, answer.json["code"]


MALFORMED = (400, "application/problem+json", "malformed")


def test_every_documented_body_is_tried_here(contract):
    documented = {
        (method.upper(), path)
        for path, item in contract.document["paths"].items()
        for method, operation in item.items()
        if method in ("post", "patch", "put") or "requestBody" in operation
    }

    tried = {
        (method, path)
        for method, path in documented
        for call in (*CALLS, *FILES)
        if call.method == method and call.documented_as(path)
    }

    assert documented - tried == set()


def test_a_body_of_known_fields_can_be_read(as_role):
    answers = each_call(as_role, lambda call: json.dumps(call.body).encode())

    unread = {case: said(answer) for case, answer in answers.items() if answer.status_code == 400}

    assert unread == {}


def test_an_unknown_field_is_refused_by_name(as_role):
    answers = each_call(as_role, lambda call: json.dumps({**call.body, "surprise": None}).encode())

    told = {case: (said(a), a.json.get("errors")) for case, a in answers.items()}

    by_name = (MALFORMED, {"json": {"surprise": ["Unknown field."]}})
    assert {case: what for case, what in told.items() if what != by_name} == {}


@pytest.mark.parametrize("data", AMBIGUOUS)
def test_what_two_readers_could_understand_differently_is_read_by_none(data):
    with pytest.raises(Malformed) as refusal:
        parse(data)

    assert refusal.value.details == {}


def test_no_call_looks_at_the_fields_of_such_a_body(as_role):
    answers = [each_call(as_role, lambda _, data=data: data) for data in AMBIGUOUS]

    told = [(said(a), "errors" in a.json) for of_calls in answers for a in of_calls.values()]

    assert set(told) == {(MALFORMED, False)}


def test_a_body_that_is_no_object_is_refused(as_role):
    answers = [each_call(as_role, lambda _, data=data: data) for data in NO_OBJECTS]

    told = [said(answer) for of_calls in answers for answer in of_calls.values()]

    assert set(told) == {MALFORMED}


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100_000])
def test_nesting_is_refused_before_a_field_is_looked_at(levels, as_role):
    arrays = each_call(as_role, lambda _: b"[" * levels + b"]" * levels)
    objects = each_call(as_role, lambda _: b'{"a":' * levels + b"1" + b"}" * levels)

    told = [(said(a), "errors" in a.json) for a in (*arrays.values(), *objects.values())]

    assert set(told) == {(MALFORMED, False)}


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_twenty_levels_can_be_read_and_twenty_one_can_not(opened, closed):
    def nested(levels: int) -> bytes:
        return (opened * levels + "1" + closed * levels).encode()

    read = parse(nested(20))

    assert json.dumps(read, separators=(",", ":")).encode() == nested(20)
    with pytest.raises(Malformed):
        parse(nested(21))


def test_more_than_a_mebibyte_is_too_large(as_role):
    answers = each_call(as_role, lambda _: b" " * (MAX_BODY_BYTES + 1), (*CALLS, *FILES))

    told = {said(answer) for answer in answers.values()}

    assert told == {(413, "application/problem+json", "too_large")}


def test_a_mebibyte_is_not_too_large(as_role):
    shopper = as_role("shopper")
    body = json.dumps({"city": "上海"}).encode()

    answer = shopper.call("PATCH", "/me", data=body.ljust(MAX_BODY_BYTES), headers=HEADERS)

    assert (answer.status_code, answer.json["city"]) == (200, "上海")


def test_a_body_that_does_not_say_its_length_is_measured_while_it_comes(as_role):
    shopper = as_role("shopper")
    stream = io.BytesIO(b" " * (MAX_BODY_BYTES + 1))

    answer = shopper.call(
        "PATCH",
        "/me",
        input_stream=stream,
        headers=HEADERS,
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert said(answer) == (413, "application/problem+json", "too_large")


@pytest.mark.covers("A3")
def test_a_name_comes_back_as_the_very_bytes_that_were_sent(as_role):
    shopper = as_role("shopper")

    changed = shopper.patch("/me", {"nickname": NICKNAME})

    assert changed.json["nickname"].encode() == NICKNAME.encode()
    assert shopper.get("/me").json["nickname"].encode() == NICKNAME.encode()
    assert NICKNAME.encode() in shopper.get("/me/card").data  # as itself, not as \u escapes


def test_a_name_has_no_blanks_at_its_ends(as_role):
    shopper = as_role("shopper")
    blanks = [" 小明", "小明 ", "小明\n", "\t小明", "\u3000小明", " ", ""]

    answers = [shopper.patch("/me", {"nickname": name}) for name in blanks]

    assert [said(answer) for answer in answers] == [MALFORMED] * len(blanks)
    assert {tuple(answer.json["errors"]["json"]) for answer in answers} == {("nickname",)}


def test_where_nothing_is_asked_an_empty_body_will_do(as_role):
    shopper = as_role("shopper")
    path = "/me/redemptions/1/cancellation"

    answers = [shopper.post(path, data=data, headers=HEADERS) for data in (b"", b" {}\n", b" \n")]

    assert [answer.status_code for answer in answers] == [404, 404, 400]


def test_a_body_is_read_as_json_whatever_it_is_called(as_role):
    shopper = as_role("shopper")
    body = json.dumps({"city": "上海"}).encode()

    answers = [
        shopper.call("PATCH", "/me", data=body, headers={"Content-Type": kind})
        for kind in ("application/json", "application/json; charset=utf-8", "text/plain")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
