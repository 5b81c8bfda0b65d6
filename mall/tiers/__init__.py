"""Growth value and tiers. Growth comes from what a member does and is never spent."""

from mall.tiers import drafts, grants, perks
from mall.tiers.grow import Growth, grow_many
from mall.tiers.ladder import BASE, above, ladder, rank, reached
from mall.tiers.path import growth_of, path
from mall.tiers.perks import Perks, Quota, all_perks, benefits
from mall.tiers.preview import preview
from mall.tiers.review import review
from mall.tiers.rules import Rules, in_force
from mall.tiers.sources import (
    ACTIVITIES,
    Bought,
    grow_by_fact,
    grow_by_receipts,
    kinds,
    shrink_by_refund,
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
    "benefits",
    "drafts",
    "grants",
    "grow_by_fact",
    "grow_by_receipts",
    "grow_many",
    "growth_of",
    "in_force",
    "kinds",
    "ladder",
    "path",
    "perks",
    "preview",
    "rank",
    "reached",
    "review",
    "shrink_by_refund",
    "undo_by_fact",
]
