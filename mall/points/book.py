"""The book: accounts under lock, changed in memory, written at once.

A `Book` is opened on the accounts a verb will touch: their rows are locked in ascending order,
changes are made and refused in memory, and `write()` puts all of them into the database with a
handful of set-based statements, however many accounts and changes there are. Points leave the lot
that expires first; what was taken from which lot is remembered, so that a cancellation restores
those very lots. sum of entries = balance = sum of lots, at every commit. What can't be taken back
because it is spent becomes a debt, and whatever comes in pays the debt first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mall import expiry_policies
from mall.errors import AccountFrozen, MemberClosed, NotEnoughPoints, NotFound, TooManyPoints
from mall.expiry_policies import Life, Policies
from mall.points import life, writing
from mall.points.account import (
    AccountInBook,
    Cause,
    LotInBook,
    Posting,
    paid_debts,
    read_accounts,
    take,
    uses_of,
)
from models.points import MAX_BALANCE_POINTS


@dataclass(frozen=True)
class TakenBack:
    """What a reversal took: from the balance, and as debt (or forgiven) what was no longer there."""

    points: int
    debt_points: int
    balance_after: int
    forgiven_points: int = 0


class Book:
    """Some accounts under lock, from `open_book()` to `write()`."""

    def __init__(
        self, accounts: dict[int, AccountInBook], now: datetime, *, lots_read: bool = False
    ) -> None:
        self.accounts = accounts
        self.now = now
        self.lots_read = lots_read
        self._postings: list[Posting] = []
        self._debts: list[dict[str, Any]] = []
        self._written = False
        self._policies: Policies | None = None
        self._acts: dict[int, set[str]] = {}

    def account(self, member_id: int) -> AccountInBook:
        if member_id not in self.accounts:
            raise NotFound()
        return self.accounts[member_id]

    def policies(self) -> Policies:
        """How long points live that are earned now; read once, when first asked for."""
        if self._policies is None:
            self._policies = expiry_policies.in_force()
        return self._policies

    def earn(self, member_id: int, points: int, cause: Cause) -> int:
        """Grant points that live as the policy in force says for the member's tier.

        Answers the balance after.
        """
        if points and cause.kind not in life.UNEARNED:
            self.act(member_id, "earn")
        return self.grant(member_id, points, cause, expires_at=self.life_of(member_id))

    def life_of(self, member_id: int) -> Life:
        """How long points of this member live that are granted now."""
        return self.policies().life(self.account(member_id).tier_code, self.now)

    def act(self, member_id: int, *acts: str) -> None:
        """Say what a member did: points that inactivity ends live on from now, where it counts."""
        assert set(acts) <= set(expiry_policies.ACTS)
        self._acts.setdefault(member_id, set()).update(acts)

    def grant(
        self, member_id: int, points: int, cause: Cause, *, expires_at: datetime | Life | None
    ) -> int:
        """Add points as a lot of their own, which pays a debt first; answers the balance after.

        Zero points leave no entry.
        """
        lives = expires_at if isinstance(expires_at, Life) else Life(expires_at)
        assert points >= 0
        account = self.account(member_id)
        if account.state == "closed":
            raise MemberClosed()
        if account.balance_points + points > MAX_BALANCE_POINTS:
            raise TooManyPoints(limit=MAX_BALANCE_POINTS)
        if points:
            lot = life.lot_of(lives, points)
            account.lots.append(lot)
            self._post(account, points, cause, expires_at=lives.expires_at, lot=lot)
            self._pay_debt(account, [lot], cause.actor)
        return account.balance_points

    def _pay_debt(self, account: AccountInBook, lots: list[LotInBook], actor: str) -> None:
        """Pay what is owed from lots that have just come in."""
        came_in = f"{account.member_id}:{account.entries}"
        uses = take(lots, account.debt_points)
        paid = sum(points for _, points in uses)
        if paid:
            cause = Cause("pay_debt", "entry", came_in, actor)
            self._post(account, -paid, cause, uses=uses)
            self._owe(account, -paid, cause)

    def check_spend(self, member_id: int, points: int) -> None:
        """Raise where these points can't be spent; change nothing."""
        account = self.account(member_id)
        if account.state != "open":
            raise MemberClosed() if account.state == "closed" else AccountFrozen()
        available = account.spendable(self.now)
        if available < points:
            raise NotEnoughPoints(short_by=points - available)

    def spend(self, member_id: int, points: int, cause: Cause) -> int:
        """Take points, first-expiring first; answers the balance after."""
        self.take_out(member_id, points, cause)
        return self.account(member_id).balance_points

    def take_out(self, member_id: int, points: int, cause: Cause) -> list[tuple[LotInBook, int]]:
        """Spend points; answers the lots they came from, with how many each gave."""
        assert points >= 0
        self.check_spend(member_id, points)
        account = self.account(member_id)
        self.expire_due(member_id)
        if not points:
            return []
        uses = take(account.lots, points)
        assert sum(part for _, part in uses) == points, "spent more than the lots hold"
        self._post(account, -points, cause, uses=uses)
        if cause.kind in life.SPENT:
            self.act(member_id, "spend")
        return uses

    def expire_due(self, member_id: int) -> int:
        """Write off lots whose time has come, first-expiring first, an entry each.

        Answers how many points went.
        """
        account = self.account(member_id)
        gone = 0
        for lot in sorted(account.lots, key=LotInBook.place):
            if lot.is_due(self.now) and lot.points_left:
                uses = [(lot, lot.points_left)]
                cause = Cause("expire", "lot", lot.life, "system")
                self._post(account, -lot.points_left, cause, uses=uses)
                gone += lot.points_left
                lot.points_left = 0
        return gone

    def give_back(self, member_id: int, entry_id: int, cause: Cause, *, grace: timedelta) -> int:
        """Restore what an entry took to the very lots it came from; answers the balance after.

        A lot that has expired meanwhile comes back with `grace` to be spent in; what was left in it
        is written off first, so that it does not come back too. The book must hold the lots.
        """
        parts = [(row, row.points) for row in uses_of(entry_id)]
        return self.give_back_parts(member_id, parts, cause, grace=grace)

    def give_back_parts(
        self, member_id: int, parts: Sequence[tuple[Any, int]], cause: Cause, *, grace: timedelta
    ) -> int:
        """Restore to each of some lots (rows of `uses_of`) so many points, as in `give_back`."""
        account = self.account(member_id)
        self.expire_due(member_id)
        restored = []
        for row, points in parts:
            lot = account.lot(row)
            lot.points_left += points
            if lot.is_due(self.now):
                lot.expires_at = self.now + grace
            restored.append(lot)
        self._post(account, sum(points for _, points in parts), cause)
        self._pay_debt(account, restored, cause.actor)
        return account.balance_points

    def take_back(
        self,
        member_id: int,
        entry_id: int,
        points: int,
        cause: Cause,
        *,
        from_others: bool,
        forgive: bool = False,
    ) -> TakenBack:
        """Take back points that an entry granted, though they may be spent by now.

        First what their own lot still has, then other lots, first-expiring first, where
        `from_others` says so; the rest is owed, or with `forgive` nobody's. The book must hold the
        lots. Any state of the account will do: what was never earned is nobody's.
        """
        assert points > 0
        account = self.account(member_id)
        self.expire_due(member_id)
        uses = take([lot for lot in account.lots if lot.entry_id == entry_id], points)
        return self._take_back(account, uses, points, cause, from_others, forgive)

    def take_back_parts(
        self, member_id: int, parts: Sequence[tuple[Any, int]], cause: Cause, *, from_others: bool
    ) -> TakenBack:
        """Take back what `give_back_parts` restored, from those very lots first, as in `take_back`."""
        account = self.account(member_id)
        self.expire_due(member_id)
        uses = [use for row, points in parts for use in take([account.lot(row)], points)]
        total = sum(points for _, points in parts)
        return self._take_back(account, uses, total, cause, from_others, False)

    def _take_back(
        self,
        account: AccountInBook,
        uses: list[tuple[LotInBook, int]],
        points: int,
        cause: Cause,
        from_others: bool,
        forgive: bool,
    ) -> TakenBack:
        taken = sum(part for _, part in uses)
        if from_others:
            uses += take(account.lots, points - taken)
            taken = sum(part for _, part in uses)
        if taken:
            self._post(account, -taken, cause, uses=uses)
        short = points - taken
        if forgive:
            return TakenBack(taken, 0, account.balance_points, short)
        if short:
            self._owe(account, short, cause)
        return TakenBack(taken, short, account.balance_points)

    def forgive(
        self,
        member_id: int,
        points: int,
        cause: Cause,
        *,
        since: datetime,
        grace: timedelta,
        expires_at: datetime | Life | None,
    ) -> int:
        """Let a debt be owed no more, as if it had never been made; answers the balance after.

        What was paid of it since then returns to the very lots that paid, the last first, as in
        `give_back`. Points no lot can take again (it paid for several debts) are a lot of their own.
        """
        account = self.account(member_id)
        self.expire_due(member_id)
        owed = min(account.debt_points, points)
        if owed:
            self._owe(account, -owed, cause)
        restored = self._restore(account, paid_debts(member_id, since), points - owed, grace)
        if restored:
            self._post(account, restored, cause)
        rest = Cause(cause.kind, cause.ref_kind, f"{cause.ref_id}:rest", cause.actor)
        return self.grant(member_id, points - owed - restored, rest, expires_at=expires_at)

    def _restore(
        self, account: AccountInBook, rows: Iterable[Any], points: int, grace: timedelta
    ) -> int:
        """Put points into lots that gave them once, as far as each has room; answers how many."""
        restored = 0
        for row in rows:
            lot = account.lot(row)
            part = min(row.points, row.points_earned - lot.points_left, points - restored)
            if part > 0:
                lot.points_left += part
                restored += part
                if lot.is_due(self.now):
                    lot.expires_at = self.now + grace
        return restored

    def move(self, from_id: int, into_id: int, out: Cause, into: Cause) -> int:
        """Move a whole account into another: lots with their dates, holds, debts; answers the points.

        The lots stay what they are and change hands (`change_hands` writes it): what was taken from
        them can be given back to them, and what made them taken back. Debts of either are paid from what both have.
        """
        source, target = self.account(from_id), self.account(into_id)
        for member_id in (from_id, into_id):
            self.expire_due(member_id)
        if source.debt_points:
            owed = source.debt_points
            self._owe(source, -owed, out)
            self._owe(target, owed, into)
        moved, came, source.lots = source.balance_points, source.lots, []
        if target.balance_points + moved > MAX_BALANCE_POINTS:
            raise TooManyPoints(limit=MAX_BALANCE_POINTS)
        if moved:
            uses = [(lot, lot.points_left) for lot in came if lot.points_left]
            self._post(source, -moved, out, uses=uses)
            self._post(target, moved, into)
        target.lots += came
        self._pay_debt(target, target.lots, into.actor)
        held = source.held_points
        source.held_points, target.held_points = 0, target.held_points + held
        return moved

    def close(self, member_id: int, cause: Cause) -> int:
        """Let everything on an account go: what is left of its lots, and what it owes.

        Answers the points that went. Nothing may be held any more. The book must hold the lots.
        """
        account = self.account(member_id)
        assert account.held_points == 0, "points are still held"
        self.expire_due(member_id)
        if account.debt_points:
            self._owe(account, -account.debt_points, cause)
        gone = account.balance_points
        if gone:
            self._post(account, -gone, cause, uses=take(account.lots, gone))
        return gone

    def hold(self, member_id: int, points: int) -> None:
        """Count points as held (or, below zero, as no longer held); their entry is apart."""
        account = self.account(member_id)
        account.held_points += points
        assert account.held_points >= 0, "more is let go than was held"

    def _owe(self, account: AccountInBook, delta: int, cause: Cause) -> None:
        account.debt_points += delta
        self._debts.append(
            {
                "member_id": account.member_id,
                "kind": cause.kind,
                "delta_points": delta,
                "debt_after_points": account.debt_points,
                "ref_kind": cause.ref_kind,
                "ref_id": cause.ref_id,
                "actor": cause.actor,
                "created_at": self.now,
            }
        )

    def _post(
        self,
        account: AccountInBook,
        delta: int,
        cause: Cause,
        *,
        expires_at: datetime | None = None,
        lot: LotInBook | None = None,
        uses: Iterable[tuple[LotInBook, int]] = (),
    ) -> None:
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
            "rule_version": cause.rule_version,
            "expires_at": expires_at,
            "ref_kind": cause.ref_kind,
            "ref_id": cause.ref_id,
            "actor": cause.actor,
            "store_id": cause.store_id,
            "created_at": self.now,
        }
        self._postings.append(Posting(values, lot, list(uses)))

    def write(self) -> None:
        """Put every change into the database, inside the transaction that opened the book."""
        assert not self._written, "a book is written once"
        self._written = True
        accounts = list(self.accounts.values())
        life.move_ends(self.accounts, self._acts, self.now)
        if any(each.changed or any(lot.changed for lot in each.lots) for each in accounts):
            self._write(accounts)
        if self._acts and not self.lots_read and self.policies().idle_days:
            life.move_ends_unread(self._acts, self.policies().idle_days, self.now)

    def _write(self, accounts: list[AccountInBook]) -> None:
        writing.write_entries(self._postings, self.now)
        writing.write_lots(accounts)
        writing.write_debts(self._debts)
        writing.write_accounts(accounts)


def open_book(member_ids: Iterable[int], *, now: datetime, lots: bool = False) -> Book:
    """Lock accounts, ascending, and read them; with their lots where points will be taken."""
    return Book(read_accounts(sorted(set(member_ids)), lots=lots), now, lots_read=lots)
