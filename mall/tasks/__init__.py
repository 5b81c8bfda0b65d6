"""Tasks and challenges: what members do is counted, and what it brings is given once."""

from mall.tasks.claim import claim, listed
from mall.tasks.count import FACTS, advance_many, advance_tasks, concerned, kinds
from mall.tasks.joining import join
from mall.tasks.publish import every_version, preview, publish, redraft, retire, view, write

__all__ = [
    "FACTS",
    "advance_many",
    "advance_tasks",
    "claim",
    "concerned",
    "every_version",
    "join",
    "kinds",
    "listed",
    "preview",
    "publish",
    "redraft",
    "retire",
    "view",
    "write",
]
