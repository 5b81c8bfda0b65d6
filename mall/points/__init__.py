"""Points: grant, spend, give back, promise, expire."""

from mall.points.book import Book, Cause, open_book
from mall.points.expiry import due_points, expire_due, expiring
from mall.points.promises import Promise, activate_due, promise_many

__all__ = [
    "Book",
    "Cause",
    "Promise",
    "activate_due",
    "due_points",
    "expire_due",
    "expiring",
    "open_book",
    "promise_many",
]
