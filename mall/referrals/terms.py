"""What a version of the rules says: what is paid to whom, when, how often, and what is looked at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JOIN, PURCHASE = "join", "purchase"


@dataclass(frozen=True)
class Gain:
    """Points, a bundle, or both."""

    points: int = 0
    bundle: str = ""

    def __bool__(self) -> bool:
        return bool(self.points or self.bundle)


@dataclass(frozen=True)
class Stage:
    """What joining, or the first purchase, brings to both; after so many days."""

    inviter: Gain
    friend: Gain
    pending_days: int
    min_amount_fen: int = 0

    def __bool__(self) -> bool:
        return bool(self.inviter or self.friend)


@dataclass(frozen=True)
class Step:
    """What an inviter gets besides, once, for so many friends."""

    friends: int
    gain: Gain


@dataclass(frozen=True)
class Caps:
    """For how many friends an inviter is paid in a day of the shop, and ever."""

    per_day: int | None
    for_life: int | None


@dataclass(frozen=True)
class Holds:
    """Above what number of joins somebody looks first; and for how long marks are kept."""

    device_joins_per_day: int
    address_joins_per_hour: int
    inviter_joins_per_hour: int
    keep_days: int


@dataclass(frozen=True)
class Terms:
    """A version of the rules."""

    version: int
    stages: Mapping[str, Stage]
    ladder: tuple[Step, ...]
    caps: Caps
    attribution_days: int
    holds: Holds

    @property
    def label(self) -> str:
        return f"邀请有礼@{self.version}"

    @property
    def ends_at_join(self) -> bool:
        """Whether joining is all that is paid for."""
        return bool(self.stages[JOIN]) and not self.stages[PURCHASE]


def read(version: int, terms: Mapping[str, Any]) -> Terms:
    return Terms(
        version,
        {name: _stage(terms[name]) for name in (JOIN, PURCHASE)},
        tuple(Step(each["friends"], _gain(each)) for each in terms["ladder"]),
        Caps(**terms["caps"]),
        terms["attribution_days"],
        Holds(**terms["holds"]),
    )


def _stage(stage: Mapping[str, Any]) -> Stage:
    gains = (_gain(stage["inviter"]), _gain(stage["friend"]))
    return Stage(*gains, stage["pending_days"], stage.get("min_amount_fen", 0))


def _gain(gain: Mapping[str, Any]) -> Gain:
    return Gain(gain["points"], gain["bundle"])


def bundles_in(terms: Mapping[str, Any]) -> set[str]:
    """The codes of the bundles that some terms name."""
    sides = [terms[name][side] for name in (JOIN, PURCHASE) for side in ("inviter", "friend")]
    return {each["bundle"] for each in [*sides, *terms["ladder"]]} - {""}
