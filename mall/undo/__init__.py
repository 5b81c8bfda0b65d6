"""Undo: what was done at a till is taken back exactly, once."""

from mall.undo.verb import seen_by, undo, view

__all__ = ["seen_by", "undo", "view"]
