"""The history of points, each row with its why."""

from typing import Any

import sqlalchemy as sa
from flask import g

from blueprints.contract import Blueprint
from blueprints.entries import EntryOut, explained
from blueprints.pages import PageArgs, page, page_of
from models import LedgerEntry

bp = Blueprint("points", __name__, description="The history of points")


def _as_it_is(entry: LedgerEntry) -> Any:
    return entry


@bp.get("/me/points/entries")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(EntryOut, "EntryPage")())
def list_entries(args: dict):
    """My points, in and out, newest first: the rule, its version, the numbers, the receipt."""
    query = sa.select(LedgerEntry).where(LedgerEntry.member_id == g.member_id)
    found = page(query, LedgerEntry.id, _as_it_is, args)
    return {**found, "items": explained(found["items"])}
