"""An action that is being undone, in its transaction and under its member's lock."""

from dataclasses import dataclass
from datetime import datetime

from mall.points import Book, Cause
from models import Staff


@dataclass(frozen=True)
class Undoing:
    """What is undone, by whom, and the book that holds the member's account with its lots."""

    action_id: int
    ref_id: int
    entry_ref: str
    member_id: int
    store_id: int
    done_at: datetime
    reason: str
    staff: Staff
    book: Book
    now: datetime

    @property
    def actor(self) -> str:
        return f"staff:{self.staff.id}"

    def cause(self, kind: str, part: str = "") -> Cause:
        """Why points move back; `part` tells apart what one undoing moves in several entries."""
        name = f"{self.action_id}:{part}" if part else str(self.action_id)
        return Cause(
            *(kind, "action", name, self.actor), reason=self.reason, store_id=self.store_id
        )
