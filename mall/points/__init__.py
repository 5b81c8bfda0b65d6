"""Points: grant, spend, give back, take back, hold, promise, expire."""

from mall.points.account import Cause
from mall.points.book import Book, TakenBack, open_book
from mall.points.expiry import due_points, expire_due, expiring
from mall.points.promises import Promise, activate_due, lower, promise_many

__all__ = [
    "Book",
    "Cause",
    "Promise",
    "TakenBack",
    "activate_due",
    "due_points",
    "expire_due",
    "expiring",
    "lower",
    "open_book",
    "promise_many",
]
