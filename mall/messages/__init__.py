"""Messages: templates of what the shop writes on an occasion, and what members were written."""

from mall.messages.occasions import OCCASIONS
from mall.messages.templates import TEXTS, draft, find, preview, publish, redraft, view
from mall.messages.write import kinds, read_all, unread, write

__all__ = [
    "OCCASIONS",
    "TEXTS",
    "draft",
    "find",
    "kinds",
    "preview",
    "publish",
    "read_all",
    "redraft",
    "unread",
    "view",
    "write",
]
