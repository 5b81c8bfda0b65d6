"""The judge itself: each kind of lie is named, and an honest history is not."""

import json

import pytest

from tests.chaos.fleet import REDEEM, Ask, Call, History
from tests.chaos.history import Trade, _calls_and_effects

ASK = Ask(7, "token", REDEEM, {"reward_id": 1, "quantity": 1}, key="k" * 16)
PROBLEM = "application/problem+json"


def granted(*, replayed: bool = False, trade: int = 50) -> Call:
    told = {"id": trade, "reward_id": 1, "quantity": 1, "points_paid": 10, "balance_after": 90}
    raw = json.dumps({**told, "voucher": {}}).encode()
    return Call(ASK, 0, 1, 201, raw, replayed, "application/json")


def refused(code: str, status: int = 409) -> Call:
    return Call(ASK, 0, 1, status, json.dumps({"code": code}).encode(), kind=PROBLEM)


def a_trade(**columns) -> Trade:
    marks = {"entries": 1, "balance": 90, "vouchers": 1, "state": "issued", **columns}
    row = {"id": 50, "member_id": 7, "request_key": "k" * 16, "reward_id": 1, "quantity": 1}
    return Trade(**{**row, "points_paid": 10, **marks})


def judged(calls: list[Call], found: list[Trade]) -> str:
    history = History()
    history.calls = calls
    return "; ".join(_calls_and_effects(history, found))


NO_ANSWER = Call(ASK, 0, 1, error="ConnectionResetError()")
UNKNOWN = refused("outcome_unknown", 503)


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([granted()], [a_trade()]),
        ([granted(), granted(replayed=True)], [a_trade()]),
        ([NO_ANSWER, granted(replayed=True)], [a_trade()]),
        ([UNKNOWN, refused("sold_out")], []),
        ([refused("reward_busy", 503), granted()], [a_trade()]),
    ],
)
def test_an_honest_history_has_no_fault(calls, found):
    assert judged(calls, found) == ""


@pytest.mark.parametrize(
    ("calls", "found", "words"),
    [
        ([granted()], [], "lost acknowledgement"),
        ([granted()], [a_trade(), a_trade(id=51)], "2 redemptions"),
        ([granted()], [a_trade(entries=0)], "0 ledger entries"),
        ([granted()], [a_trade(balance=80)], "balance 80"),
        ([granted()], [a_trade(quantity=2)], "but SQL has"),
        ([granted()], [a_trade(vouchers=2)], "2 vouchers"),
        ([granted(), granted()], [a_trade()], "claim to be the first"),
        ([granted(), granted(replayed=True, trade=51)], [a_trade()], "two answers differ"),
        ([refused("sold_out")], [a_trade()], "told sold_out last"),
        ([refused("reward_busy", 503)], [a_trade()], "never told"),
        ([refused("unavailable", 503), granted(replayed=True)], [a_trade()], "never doubt"),
        ([NO_ANSWER], [], "still open"),
        ([UNKNOWN], [a_trade()], "still open"),
        ([], [a_trade()], "asked for by nobody"),
    ],
)
def test_each_lie_is_named(calls, found, words):
    assert words in judged(calls, found)
