"""The judge: holds what clients were told against what SQL says happened, and names each difference."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.chaos.fleet import REDEEM, Call, History
from tests.chaos.ground import Ground

QUIET_WITHIN_S = 40.0
POLL_S = 0.25
SHOWN = 20
TRADES = """
    SELECT r.id, r.member_id, r.request_key, r.reward_id, r.quantity, r.points_paid, r.state,
           (SELECT count(*) FROM ledger_entries e WHERE e.kind = 'redeem'
             AND e.ref_kind = 'redemption' AND e.ref_id = CAST(r.id AS VARCHAR(20))
             AND e.member_id = r.member_id AND e.delta_points = -r.points_paid) AS entries,
           (SELECT max(e.balance_after_points) FROM ledger_entries e WHERE e.kind = 'redeem'
             AND e.ref_kind = 'redemption' AND e.ref_id = CAST(r.id AS VARCHAR(20))) AS balance,
           (SELECT count(*) FROM vouchers v WHERE v.redemption_id = r.id) AS vouchers
      FROM redemptions r WHERE r.reward_id = :reward_id
"""


@dataclass(frozen=True)
class Trade:
    """A redemption as SQL has it, with its marks elsewhere counted."""

    id: int
    member_id: int
    request_key: str
    reward_id: int
    quantity: int
    points_paid: int
    state: str
    entries: int
    balance: int
    vouchers: int


def trades(ground: Ground, reward_ids: Iterable[int]) -> list[Trade]:
    found = [row for each in reward_ids for row in ground.rows(TRADES, reward_id=each)]
    return [Trade(*row) for row in found]


def faults(ground: Ground, history: History, reward_ids: Iterable[int]) -> list[str]:
    """All that is wrong, in sentences; nothing is what every experiment must end with."""
    reward_ids = list(reward_ids)
    found = trades(ground, reward_ids)
    wrong = [
        *_calls_and_effects(history, found),
        *_stock(ground, reward_ids, found),
        *_limits(ground, reward_ids, found),
        *_ledger(ground),
    ]
    return wrong[:SHOWN] + ([f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else [])


def _calls_and_effects(history: History, found: list[Trade]) -> Iterator[str]:
    effects: dict[tuple[int, str], list[Trade]] = defaultdict(list)
    for trade in found:
        effects[trade.member_id, trade.request_key].append(trade)
    asked = {ask: calls for ask, calls in history.by_ask().items() if ask.path == REDEEM}
    for ask, calls in asked.items():
        for sentence in _of_one(calls, effects[ask.member_id, str(ask.key)]):
            yield f"member {ask.member_id}, key {ask.key}: {sentence}"
    keys = {(ask.member_id, str(ask.key)) for ask in asked}
    for unasked in effects.keys() - keys:
        if effects[unasked]:
            yield f"redemption {effects[unasked][0].id} of {unasked} was asked for by nobody"


def _of_one(calls: list[Call], effects: list[Trade]) -> Iterator[str]:
    """What is wrong about one wish: its answers among each other, and against its effect."""
    done = [call for call in calls if call.verdict == "done"]
    verdicts = {call.verdict for call in calls}
    yield from _answers(done)
    if len(effects) > 1:
        yield f"{len(effects)} redemptions"
    elif done and not effects:
        yield "a lost acknowledgement: told it was redeemed, but SQL has nothing"
    elif effects and not done and calls[-1].verdict == "refused":
        yield f"told {calls[-1].code or calls[-1].status} last, but SQL has a redemption"
    elif effects and "done" not in verdicts and "unknown" not in verdicts:
        yield f"never told of an effect nor of doubt ({_codes(calls)}), but SQL has a redemption"
    elif done and all(call.replayed for call in done) and "unknown" not in verdicts:
        yield f"it stood, but {_codes(calls[:1])} was told and never doubt"
    elif not calls[-1].final:
        yield f"still open after every retry: {_codes(calls[-1:])}"
    if done and effects:
        yield from _same_thing(done[0], effects[0])


def _answers(done: list[Call]) -> Iterator[str]:
    if len({(call.status, call.raw) for call in done}) > 1:
        yield "two answers differ"
    if sum(not call.replayed for call in done) > 1:
        yield "two answers claim to be the first"


def _same_thing(call: Call, trade: Trade) -> Iterator[str]:
    told = call.body
    said = (told["id"], told["reward_id"], told["quantity"], told["points_paid"])
    if said != (trade.id, trade.reward_id, trade.quantity, trade.points_paid):
        yield f"told {said}, but SQL has {trade}"
    if trade.points_paid and (trade.entries != 1 or told["balance_after"] != trade.balance):
        yield f"{trade.entries} ledger entries, balance {trade.balance} after it"
    if trade.vouchers != (told["voucher"] is not None):
        yield f"{trade.vouchers} vouchers"


def _codes(calls: list[Call]) -> str:
    seen = Counter(str(call.code or call.status or call.error) for call in calls)
    return ", ".join(f"{code} x{times}" for code, times in seen.items())


def _stock(ground: Ground, reward_ids: list[int], found: list[Trade]) -> Iterator[str]:
    live: Counter[int] = Counter()
    for trade in found:
        live[trade.reward_id] += trade.quantity * (trade.state != "cancelled")
    for reward_id in reward_ids:
        query = "SELECT units_stocked, units_left FROM rewards WHERE id = :id"
        stocked, left = ground.rows(query, id=reward_id)[0]
        if left < 0 or stocked != left + live[reward_id]:
            yield f"reward {reward_id}: {stocked} stocked, {left} left, {live[reward_id]} redeemed"


def _limits(ground: Ground, reward_ids: list[int], found: list[Trade]) -> Iterator[str]:
    for reward_id in reward_ids:
        query = "SELECT per_member_limit FROM rewards WHERE id = :id"
        limit = ground.rows(query, id=reward_id)[0][0]
        taken: Counter[int] = Counter()
        for trade in found:
            if trade.reward_id == reward_id and trade.state != "cancelled":
                taken[trade.member_id] += trade.quantity
        over = [member for member, quantity in taken.items() if limit and quantity > limit]
        if over:
            yield f"reward {reward_id}: {len(over)} members over the limit of {limit}"


def _ledger(ground: Ground) -> Iterator[str]:
    proof = ground.admin().get("/admin/ledger/verification")
    for mismatch in proof["mismatches"]:
        yield f"the ledger's own proof: {mismatch}"


@dataclass(frozen=True)
class Quiet:
    """How the gates stood when they agreed with SQL, or when patience ended."""

    seconds: float
    faults: list[str]


def gates_agree(ground: Ground, reward_ids: Iterable[int]) -> Quiet:
    """Wait until every gate is open, holds no lease and has SQL's units."""
    started = time.monotonic()
    admin, waiting = ground.admin(), list(reward_ids)
    seen: dict[int, Any] = {}
    while waiting and time.monotonic() < started + QUIET_WITHIN_S:
        seen = {each: admin.get(f"/admin/rewards/{each}/stock") for each in waiting}
        waiting = [each for each, shown in seen.items() if not _agrees(shown)]
        if waiting:
            time.sleep(POLL_S)
    wrong = [f"reward {each}: {seen[each]['gate']}, {_units(seen[each])}" for each in waiting]
    return Quiet(round(time.monotonic() - started, 1), wrong)


def _agrees(shown: dict[str, Any]) -> bool:
    gate = shown["gate"]
    return (gate["state"], gate["units_left"], gate["leases"]) == ("open", shown["units_left"], 0)


def _units(shown: dict[str, Any]) -> str:
    return f"but SQL has {shown['units_left']} units"
