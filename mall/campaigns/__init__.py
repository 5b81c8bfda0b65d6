"""Points campaigns: the same points for each member of a segment, once, within a budget."""

from mall.campaigns.give import give_batch
from mall.campaigns.verbs import draft, preview, review, run, view

__all__ = ["draft", "give_batch", "preview", "review", "run", "view"]
