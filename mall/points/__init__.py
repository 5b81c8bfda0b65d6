"""Points: grant, spend, give back, take back, hold, promise, expire."""

from mall.points.account import LOT_COLUMNS, Cause, uses_of
from mall.points.book import Book, TakenBack, open_book
from mall.points.expiry import due_points, expire_due, expiring
from mall.points.promises import (
    Promise,
    activate,
    activate_due,
    come_due,
    lower,
    promise_again,
    promise_many,
    void_promises,
    void_promises_to,
)
from mall.points.reminders import remind_due
from mall.points.writing import change_hands

__all__ = [
    "LOT_COLUMNS",
    "Book",
    "Cause",
    "Promise",
    "TakenBack",
    "activate",
    "activate_due",
    "change_hands",
    "come_due",
    "due_points",
    "expire_due",
    "expiring",
    "lower",
    "open_book",
    "promise_again",
    "promise_many",
    "remind_due",
    "uses_of",
    "void_promises",
    "void_promises_to",
]
