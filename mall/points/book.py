"""The book: accounts under lock, changed in memory, written at once.

A `Book` is opened on the accounts a verb will touch: their rows are locked in ascending order,
changes are made and refused in memory, and `write()` puts all of them into the database with a
handful of set-based statements, however many accounts and changes there are. Points leave the lot
that expires first; what was taken from which lot is remembered, so that a cancellation restores
those very lots. sum of entries = balance = sum of lots, at every commit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.errors import AccountFrozen, MemberClosed, NotEnoughPoints, NotFound, TooManyPoints
from models import Account, LedgerEntry, Lot, LotUse
from models.base import insert, table_of
from models.points import MAX_BALANCE_POINTS


@dataclass(frozen=True)
class Cause:
    """Why points move. (kind, ref_kind, ref_id) is unique for ever: one cause moves points once."""

    kind: str
    ref_kind: str
    ref_id: str
    actor: str
    rule: str = ""
    reason: str = ""
    store_id: int | None = None


@dataclass
class LotInBook:
    """A lot with points left; `points_left` changes here and is written later."""

    id: int
    expires_at: datetime | None
    points_left: int
    written_left: int

    @property
    def life(self) -> str:
        """The lot and its end: one that came back with grace can end a second time."""
        return f"{self.id}@{self.expires_at.timestamp():.6f}" if self.expires_at else str(self.id)


@dataclass
class AccountInBook:
    """An account under lock; what it will be once the book is written."""

    member_id: int
    balance_points: int
    entries: int
    state: str
    tier_code: str
    growth_value: int
    written_balance: int
    written_entries: int
    lots: list[LotInBook] = field(default_factory=list)


@dataclass
class Posting:
    """An entry to be written, with the lot it makes or the lots it takes from."""

    values: dict[str, Any]
    lot: dict[str, Any] | None = None
    uses: list[tuple[int, int]] = field(default_factory=list)


class Book:
    """Some accounts under lock, from `open_book()` to `write()`."""

    def __init__(self, accounts: dict[int, AccountInBook], now: datetime) -> None:
        self.accounts = accounts
        self.now = now
        self._postings: list[Posting] = []
        self._restored: list[dict[str, Any]] = []

    def account(self, member_id: int) -> AccountInBook:
        if member_id not in self.accounts:
            raise NotFound()
        return self.accounts[member_id]

    def grant(
        self, member_id: int, points: int, cause: Cause, *, expires_at: datetime | None
    ) -> int:
        """Add points as a lot of their own; answers the balance after. Zero points leave no entry."""
        assert points >= 0
        account = self.account(member_id)
        if account.state == "closed":
            raise MemberClosed()
        if account.balance_points + points > MAX_BALANCE_POINTS:
            raise TooManyPoints(limit=MAX_BALANCE_POINTS)
        if points:
            lot = {
                "member_id": member_id,
                "points_earned": points,
                "points_left": points,
                "earned_at": self.now,
                "expires_at": expires_at,
            }
            self._post(account, points, cause, expires_at=expires_at).lot = lot
        return account.balance_points

    def check_spend(self, member_id: int, points: int) -> None:
        """Raise where these points can't be spent; change nothing."""
        account = self.account(member_id)
        if account.state != "open":
            raise MemberClosed() if account.state == "closed" else AccountFrozen()
        available = sum(lot.points_left for lot in account.lots if not self._is_due(lot))
        if available < points:
            raise NotEnoughPoints(short_by=points - available)

    def spend(self, member_id: int, points: int, cause: Cause) -> int:
        """Take points, first-expiring first; answers the balance after."""
        assert points >= 0
        self.check_spend(member_id, points)
        account = self.account(member_id)
        self.expire_due(member_id)
        if points:
            posting = self._post(account, -points, cause)
            posting.uses = _take(account.lots, points)
        return account.balance_points

    def expire_due(self, member_id: int) -> int:
        """Write off lots whose time has come, an entry each; answers how many points went."""
        account = self.account(member_id)
        gone = 0
        for lot in account.lots:
            if self._is_due(lot) and lot.points_left:
                cause = Cause("expire", "lot", lot.life, "system")
                posting = self._post(account, -lot.points_left, cause)
                posting.uses = [(lot.id, lot.points_left)]
                gone += lot.points_left
                lot.points_left = 0
        return gone

    def give_back(self, member_id: int, entry_id: int, cause: Cause, *, grace: timedelta) -> int:
        """Restore what an entry took to the very lots it came from; answers the balance after.

        A lot that has expired meanwhile comes back with `grace` to be spent in; what was left in it
        is written off first, so that it does not come back too. The book must hold the lots.
        """
        account = self.account(member_id)
        self.expire_due(member_id)
        uses = _uses_of(entry_id)
        points = sum(row.points for row in uses)
        self._post(account, points, cause)
        for row in uses:
            expired = row.expires_at is not None and row.expires_at <= self.now
            until = self.now + grace if expired else row.expires_at
            self._restored.append({"lot": row.lot_id, "more": row.points, "until": until})
        return account.balance_points

    def _is_due(self, lot: LotInBook) -> bool:
        return lot.expires_at is not None and lot.expires_at <= self.now

    def _post(
        self,
        account: AccountInBook,
        delta: int,
        cause: Cause,
        expires_at: datetime | None = None,
    ) -> Posting:
        account.balance_points += delta
        account.entries += 1
        values = {
            "member_id": account.member_id,
            "seq": account.entries,
            "kind": cause.kind,
            "delta_points": delta,
            "balance_after_points": account.balance_points,
            "reason": cause.reason,
            "rule": cause.rule,
            "expires_at": expires_at,
            "ref_kind": cause.ref_kind,
            "ref_id": cause.ref_id,
            "actor": cause.actor,
            "store_id": cause.store_id,
            "created_at": self.now,
        }
        posting = Posting(values)
        self._postings.append(posting)
        return posting

    def write(self) -> None:
        """Put every change into the database, inside the transaction that opened the book."""
        if not self._postings:
            return
        with atomic() as transaction:
            entry_ids = transaction.execute(
                insert(LedgerEntry).returning(LedgerEntry.id, sort_by_parameter_order=True),
                [posting.values for posting in self._postings],
            ).scalars()
            self._write_lots(list(entry_ids))
            self._write_accounts()
        self._postings = []
        self._restored = []

    def _write_lots(self, entry_ids: Sequence[int]) -> None:
        pairs = list(zip(entry_ids, self._postings, strict=True))
        made = [{**posting.lot, "entry_id": entry} for entry, posting in pairs if posting.lot]
        uses = [
            {"entry_id": entry, "lot_id": lot, "points": points}
            for entry, posting in pairs
            for lot, points in posting.uses
        ]
        with atomic() as transaction:
            if made:
                transaction.execute(insert(Lot), made)
            if uses:
                transaction.execute(insert(LotUse), uses)
        self._write_lots_left()

    def _write_lots_left(self) -> None:
        changed = [
            {"lot": lot.id, "left_now": lot.points_left, "left_before": lot.written_left}
            for account in self.accounts.values()
            for lot in account.lots
            if lot.points_left != lot.written_left
        ]
        if changed:
            _update_all(_LOT_TAKEN, changed)
        if self._restored:
            _update_all(_LOT_RESTORED, self._restored)

    def _write_accounts(self) -> None:
        changed = [
            {
                "member": account.member_id,
                "delta": account.balance_points - account.written_balance,
                "entries_now": account.entries,
                "entries_before": account.written_entries,
            }
            for account in self.accounts.values()
            if account.entries != account.written_entries
        ]
        _update_all(_ACCOUNT_CHANGED, changed)


_lots, _accounts = table_of(Lot), table_of(Account)
_LOT_TAKEN = (
    sa.update(_lots)
    .where(_lots.c.id == sa.bindparam("lot"), _lots.c.points_left == sa.bindparam("left_before"))
    .values(points_left=sa.bindparam("left_now"))
)
_LOT_RESTORED = (
    sa.update(_lots)
    .where(_lots.c.id == sa.bindparam("lot"))
    .values(
        points_left=_lots.c.points_left + sa.bindparam("more"), expires_at=sa.bindparam("until")
    )
)
_ACCOUNT_CHANGED = (
    sa.update(_accounts)
    .where(
        _accounts.c.member_id == sa.bindparam("member"),
        _accounts.c.entries == sa.bindparam("entries_before"),
    )
    .values(
        balance_points=_accounts.c.balance_points + sa.bindparam("delta"),
        entries=sa.bindparam("entries_now"),
    )
)


def _update_all(statement: sa.Update, rows: list[dict[str, Any]]) -> None:
    """Update a row for each set of parameters; a row that was not as the lock showed it is a bug."""
    with atomic() as transaction:
        changed = transaction.execute(statement, rows).rowcount
    assert changed == len(rows), f"{len(rows) - changed} rows changed under their lock"


def _take(lots: Iterable[LotInBook], points: int) -> list[tuple[int, int]]:
    """Take points from lots in their order; answers (lot id, points) of each that gave some."""
    uses = []
    for lot in lots:
        part = min(lot.points_left, points)
        if part:
            lot.points_left -= part
            points -= part
            uses.append((lot.id, part))
    assert points == 0, "spent more than the lots hold"
    return uses


def _uses_of(entry_id: int) -> Sequence[Any]:
    query = (
        sa.select(LotUse.lot_id, LotUse.points, Lot.expires_at)
        .join(Lot, Lot.id == LotUse.lot_id)
        .where(LotUse.entry_id == entry_id)
        .order_by(LotUse.lot_id)
    )
    with atomic() as transaction:
        return transaction.execute(query).all()


def open_book(member_ids: Iterable[int], *, now: datetime, lots: bool = False) -> Book:
    """Lock accounts, ascending, and read them; with their lots where points will be spent."""
    wanted = sorted(set(member_ids))
    query = (
        sa.select(
            Account.member_id,
            Account.balance_points,
            Account.entries,
            Account.state,
            Account.tier_code,
            Account.growth_value,
        )
        .where(Account.member_id.in_(wanted))
        .order_by(Account.member_id)
        .with_for_update(key_share=True)
    )
    with atomic() as transaction:
        rows = transaction.execute(query).all()
        accounts = {row.member_id: _account(row) for row in rows}
        if lots:
            _read_lots(accounts)
    return Book(accounts, now)


def _account(row: Any) -> AccountInBook:
    return AccountInBook(
        **row._asdict(), written_balance=row.balance_points, written_entries=row.entries
    )


def _read_lots(accounts: dict[int, AccountInBook]) -> None:
    never_last = sa.case((Lot.expires_at.is_(None), 1), else_=0)
    query = (
        sa.select(Lot.member_id, Lot.id, Lot.expires_at, Lot.points_left)
        .where(Lot.member_id.in_(list(accounts)), Lot.points_left > 0)
        .order_by(Lot.member_id, never_last, Lot.expires_at, Lot.id)
    )
    with atomic() as transaction:
        for row in transaction.execute(query):
            lot = LotInBook(row.id, row.expires_at, row.points_left, row.points_left)
            accounts[row.member_id].lots.append(lot)
