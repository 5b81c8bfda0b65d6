"""Merges: two memberships that were one person's become one."""

from mall.merges.duplicates import duplicates
from mall.merges.phone import bind_phone
from mall.merges.preview import preview
from mall.merges.verb import merge

__all__ = ["bind_phone", "duplicates", "merge", "preview"]
