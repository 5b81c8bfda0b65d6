"""What earns points, by rules with versions; why, and what a draft would have changed."""

from mall.earning.award import Awarded, buyers, decide, meter, of_receipts
from mall.earning.engine import Bill, Buyer, Line
from mall.earning.events import earn, kinds
from mall.earning.publish import publish, view, write
from mall.earning.rules import NOW, PICKUP, Rule, in_force, is_birthday
from mall.earning.trials import back_test, dry_run
from mall.earning.uncount import uncount
from mall.earning.words import told

__all__ = [
    "Awarded",
    "Bill",
    "Buyer",
    "Line",
    "NOW",
    "PICKUP",
    "Rule",
    "back_test",
    "buyers",
    "decide",
    "dry_run",
    "earn",
    "in_force",
    "is_birthday",
    "kinds",
    "meter",
    "of_receipts",
    "publish",
    "told",
    "uncount",
    "view",
    "write",
]
