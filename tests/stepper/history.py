"""What each client was told, and whether that agrees with what the shop did."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mall.errors import KeyInProgress, KeyReused, MallError, OutcomeUnknown, Unavailable
from mall.idempotency import Answer, Key, Replayed
from mall.ledger.checks import LIVE
from models import (
    Account,
    Event,
    IdempotencyKey,
    LedgerEntry,
    LimitCounter,
    Lot,
    LotUse,
    Redemption,
    Reward,
    StockMove,
    Voucher,
    db,
)

GRANTED, REFUSED, OPEN, BUG = "granted", "refused", "open", "bug"


@dataclass
class Attempt:
    """One delivery of a request to a worker. Without an outcome its client heard nothing."""

    key: Key
    verb: str
    started: int
    ended: int | None = None
    outcome: Any = None
    commit_lost: bool = False  # the answer of a COMMIT made for it was lost

    @property
    def kind(self) -> str:
        """What a client may conclude: it has happened, it has not, or it must ask again."""
        outcome = self.outcome
        if isinstance(outcome, Answer):
            return GRANTED
        if outcome is None or isinstance(outcome, Unavailable | KeyInProgress | RedisError):
            return OPEN
        if isinstance(outcome, MallError):
            return REFUSED
        away = isinstance(outcome, OperationalError | PoolTimeout)
        away |= isinstance(outcome, DBAPIError) and outcome.connection_invalidated
        return OPEN if away else BUG


@dataclass
class History:
    """Every attempt of a schedule, in the order they were made."""

    now: Callable[[], int]
    attempts: list[Attempt] = field(default_factory=list)
    running: dict[int, list[Attempt]] = field(default_factory=dict)  # by thread

    @contextmanager
    def attempt(self, verb: str, *keys: Key):
        """Attempts that are made together; the block sets their outcomes."""
        made = [Attempt(key, verb, self.now()) for key in keys]
        self.attempts += made
        self.running[threading.get_ident()] = made
        try:
            yield made
        except Replayed as twin:
            made[0].outcome = twin.answer
        except Exception as error:
            for each in made:
                each.outcome = error
        for each in made:
            each.ended = self.now()

    def lose_commit(self) -> None:
        """The COMMIT that this thread is about to make will have no answer."""
        made = self.running.get(threading.get_ident(), [])
        if len(made) == 1 and made[0].ended is None:
            made[0].commit_lost = True

    def by_key(self) -> dict[tuple[str, str, str], list[Attempt]]:
        found = defaultdict(list)
        for attempt in self.attempts:
            found[_name(attempt.key)].append(attempt)
        return found

    def unsettled(self) -> list[Attempt]:
        """An attempt of each key whose clients don't know yet."""
        return [made[-1] for made in self.by_key().values() if made[-1].kind == OPEN]

    def wrong(self) -> Iterable[str]:
        """What no order of events could explain."""
        for attempt in self.attempts:
            if attempt.kind == BUG:
                yield f"{attempt.verb} {attempt.key.text} failed with {attempt.outcome!r}"
            if isinstance(attempt.outcome, KeyReused):
                yield f"{attempt.verb} {attempt.key.text}: the same request was called another"
            if attempt.commit_lost and not isinstance(attempt.outcome, OutcomeUnknown | None):
                yield f"{attempt.key.text}: COMMIT's answer was lost, answered {attempt.outcome!r}"
        for made in self.by_key().values():
            yield from _contradictions(made)


def _contradictions(made: list[Attempt]) -> Iterable[str]:
    granted = [each for each in made if each.kind == GRANTED]
    if len({each.outcome.body for each in granted}) > 1:
        yield f"{made[0].key.text}: different answers to one key"
    if sum(not each.outcome.replayed for each in granted) > 1:
        yield f"{made[0].key.text}: granted twice, not replayed"
    known_at = min((each.ended for each in granted if each.ended is not None), default=None)
    for each in made:
        if known_at is not None and each.kind == REFUSED and each.started > known_at:
            yield f"{each.key.text}: refused after it was granted: {each.outcome!r}"


def _name(key: Key) -> tuple[str, str, str]:
    return key.caller, key.route, str(key.text)


class Books:
    """What SQL and Redis say of one reward and its members: the gate at once, the rest on `read`."""

    def __init__(self, reward_id: int, members: list[int], since: int, redis: Redis) -> None:
        db.session.rollback()
        self.members, self.since = members, since  # the last event before
        self.reward = self._all(Reward, Reward.id == reward_id)[0]
        self.counters = self._all(
            LimitCounter, LimitCounter.member_id.in_(members), LimitCounter.reward_id == reward_id
        )
        parts = {part: f"{{rw:{reward_id}}}:{part}" for part in ("g", "l", "d", "m:ever")}
        self.gate = redis.hgetall(parts["g"])
        self.leases = redis.zcard(parts["l"]) + redis.hlen(parts["d"])
        self.gate_counts = redis.hgetall(parts["m:ever"])
        db.session.rollback()

    def read(self) -> "Books":
        """Read the rest."""
        self.trades = self._all(Redemption, Redemption.reward_id == self.reward.id)
        self.moves = self._all(StockMove, StockMove.reward_id == self.reward.id)
        self.accounts = self._all(Account, Account.member_id.in_(self.members))
        self.entries = self._all(LedgerEntry, LedgerEntry.member_id.in_(self.members))
        ids = [entry.id for entry in self.entries]
        self.lots = self._all(Lot, Lot.entry_id.in_(ids))
        self.uses = self._all(LotUse, LotUse.entry_id.in_(ids))
        self.vouchers = self._all(Voucher, Voucher.member_id.in_(self.members))
        self.events = self._all(Event, Event.id > self.since, Event.member_id.in_(self.members))
        callers = [f"member:{member}" for member in self.members]
        self.keys = self._all(IdempotencyKey, IdempotencyKey.caller.in_(callers))
        db.session.rollback()
        return self

    def _all(self, model: Any, *where: Any) -> list[Any]:
        return list(db.session.execute(sa.select(model.__table__).where(*where)))

    def wrong(self, history: History) -> Iterable[str]:
        """Every rule that does not hold."""
        yield from self._stock()
        yield from self._points()
        yield from self._limits()
        yield from self._effects(history)
        yield from self.gate_wrong()
        if running := [key.key for key in self.keys if key.state == "running"]:
            yield f"keys still running: {running}"

    def _live(self) -> list[Any]:
        return [trade for trade in self.trades if trade.state in LIVE]

    def _stock(self) -> Iterable[str]:
        live = sum(trade.quantity for trade in self._live())
        stocked = sum(move.quantity for move in self.moves)
        left = self.reward.units_left
        if left + live != stocked or left < 0:
            yield f"stock: {left} left + {live} redeemed, but {stocked} were stocked"
        if self.reward.units_promised != live:
            yield f"stock: {self.reward.units_promised} promised, {live} redeemed"

    def _points(self) -> Iterable[str]:
        earned = _sums((entry.member_id, entry.delta_points) for entry in self.entries)
        in_lots = _sums((lot.member_id, lot.points_left) for lot in self.lots)
        for account in self.accounts:
            member, balance = account.member_id, account.balance_points
            if not balance == earned[member] == in_lots[member]:
                yield f"member {member}: balance {balance}, entries {earned[member]}, lots {in_lots[member]}"
        used = _sums((use.entry_id, use.points) for use in self.uses)
        for entry in self.entries:
            if entry.delta_points < 0 and used[entry.id] != -entry.delta_points:
                yield f"entry {entry.id}: {entry.delta_points} points, lots say {used[entry.id]}"

    def _limits(self) -> Iterable[str]:
        live = _sums((trade.member_id, trade.quantity) for trade in self._live())
        counted = _sums((row.member_id, row.quantity) for row in self.counters)
        limit = self.reward.per_member_limit
        for member in self.members:
            if counted[member] != live[member]:
                yield f"member {member}: {counted[member]} counted, {live[member]} redeemed"
            if limit is not None and live[member] > limit:
                yield f"member {member}: {live[member]} redeemed, the limit is {limit}"

    def _effects(self, history: History) -> Iterable[str]:
        """Each grant has one effect, each refusal none; nothing else has any."""
        expected = Counter(
            (made[0].verb, made[0].key.caller, made[0].key.text)
            for made in history.by_key().values()
            if any(each.kind == GRANTED for each in made)
        )
        found = Counter(
            ("redeem", f"member:{trade.member_id}", trade.request_key) for trade in self.trades
        )
        found.update(("move", "staff:1", move.note) for move in self.moves if move.note)
        for verb, caller, text in expected.keys() | found.keys():
            if verb != "cancel" and found[verb, caller, text] != expected[verb, caller, text]:
                yield (
                    f"{verb} {text} of {caller}: {found[verb, caller, text]} effects, "
                    f"{expected[verb, caller, text]} grants"
                )
        yield from self._parts()
        cancels = sum(number for (verb, _, _), number in expected.items() if verb == "cancel")
        if cancels != sum(trade.state == "cancelled" for trade in self.trades):
            yield f"{cancels} cancellations were granted"

    def _parts(self) -> Iterable[str]:
        """A redemption is an entry, a voucher and a fact; a cancelled one is one more of each."""
        entries = Counter((entry.kind, entry.ref_id) for entry in self.entries)
        facts = Counter((event.kind, event.payload.get("redemption_id")) for event in self.events)
        vouchers = {voucher.redemption_id: voucher.state for voucher in self.vouchers}
        for trade in self.trades:
            back = int(trade.state == "cancelled")
            seen = (
                entries["redeem", str(trade.id)],
                facts["redeemed", trade.id],
                entries["cancel", str(trade.id)],
                facts["redemption_cancelled", trade.id],
                vouchers.get(trade.id),
            )
            if seen != (1, 1, back, back, "void" if back else "issued"):
                yield f"redemption {trade.id} ({trade.state}) has {seen}"
        if len(self.vouchers) != len(self.trades) or entries.total() != len(self.entries):
            yield "vouchers or entries without a redemption"
        stray = sum(entries[kind, ref] for kind, ref in entries if kind in ("redeem", "cancel"))
        back = sum(trade.state == "cancelled" for trade in self.trades)
        if stray != len(self.trades) + back:
            yield f"{stray} entries for {len(self.trades)} redemptions, {back} taken back"

    def gate_wrong(self) -> Iterable[str]:
        """Where the gate and SQL differ."""
        if (self.gate.get("state"), self.gate.get("epoch")) != ("open", str(self.reward.epoch)):
            yield f"gate: {self.gate}, SQL is at epoch {self.reward.epoch}"
            return
        if int(self.gate["avail"]) != self.reward.units_left:
            yield f"gate: {self.gate['avail']} units, SQL has {self.reward.units_left}"
        if self.leases:
            yield f"gate: {self.leases} leases left"
        if self.reward.per_member_limit is None:
            return  # a gate without a limit asks no count
        counted = {str(row.member_id): row.quantity for row in self.counters if row.quantity}
        seen = {member: int(n) for member, n in self.gate_counts.items() if int(n)}
        high = {member for member, n in seen.items() if n > counted.get(member, 0)}
        if high:  # one too low lets somebody through whom SQL refuses
            yield f"gate: counts {seen}, SQL counts {counted}"


def _sums(pairs: Iterable[tuple[int, int]]) -> Counter[int]:
    sums: Counter[int] = Counter()
    for name, number in pairs:
        sums[name] += number
    return sums
