"""What a purchase earns, by the rule in force; the rule's version is kept with what it made."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from models import EarningRule, db

FEN_PER_YUAN = 100


@dataclass(frozen=True)
class Rule:
    """A rule's numbers, apart from its row."""

    code: str
    version: int
    name: str
    points_per_yuan: int
    growth_per_yuan: int
    min_amount_fen: int

    @property
    def label(self) -> str:
        return f"{self.name}@{self.version}"

    def points(self, amount_fen: int) -> int:
        """Points for a bill: whole yuan first, so that no bill earns for part of one."""
        return self._earned(amount_fen, self.points_per_yuan)

    def _earned(self, amount_fen: int, per_yuan: int) -> int:
        if amount_fen < self.min_amount_fen:
            return 0
        return amount_fen // FEN_PER_YUAN * per_yuan


def in_force(code: str = "purchase", *, now: datetime) -> Rule | None:
    """The newest version that is published; None where nothing is earned."""
    row = db.session.scalar(
        sa.select(EarningRule)
        .where(EarningRule.code == code, EarningRule.published_at <= now)
        .order_by(EarningRule.version.desc())
        .limit(1)
    )
    if row is None:
        return None
    return Rule(
        row.code,
        row.version,
        row.name,
        row.points_per_yuan,
        row.growth_per_yuan,
        row.min_amount_fen,
    )
