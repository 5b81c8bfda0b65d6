"""Growth value and tiers. Growth comes from what a member does and is never spent."""

from mall.tiers import drafts, grants, perks
from mall.tiers.grow import Growth, grow_many
from mall.tiers.joining import join
from mall.tiers.ladder import BASE, above, ladder, rank, reached
from mall.tiers.path import growth_of, path
from mall.tiers.perks import Perks, Quota, all_perks, benefits, multipliers
from mall.tiers.preview import preview
from mall.tiers.review import apply_rules, review
from mall.tiers.rules import Rules, in_force
from mall.tiers.sources import (
    ACTIVITIES,
    Bought,
    give_again,
    grow_by_fact,
    grow_by_receipts,
    kinds,
    take_back,
    undo_by_fact,
)

__all__ = [
    "ACTIVITIES",
    "BASE",
    "Bought",
    "Growth",
    "Perks",
    "Quota",
    "Rules",
    "above",
    "all_perks",
    "apply_rules",
    "benefits",
    "drafts",
    "give_again",
    "grants",
    "grow_by_fact",
    "grow_by_receipts",
    "grow_many",
    "growth_of",
    "in_force",
    "join",
    "kinds",
    "ladder",
    "multipliers",
    "path",
    "perks",
    "preview",
    "rank",
    "reached",
    "review",
    "take_back",
    "undo_by_fact",
]
