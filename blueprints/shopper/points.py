"""The history of points, each row with its why."""

import sqlalchemy as sa
from flask import g

from blueprints.contract import Blueprint
from blueprints.pages import PageArgs, page, page_of
from blueprints.shapes import EntryOut
from blueprints.words import reason_of
from mall import clock
from models import LedgerEntry

bp = Blueprint("points", __name__, description="The history of points")


def entry_view(entry: LedgerEntry) -> dict:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "delta": entry.delta_points,
        "balance_after": entry.balance_after_points,
        "reason": reason_of(entry),
        "rule": entry.rule,
        "expires_at": clock.rfc3339(entry.expires_at) if entry.expires_at else None,
        "ref": f"{entry.ref_kind}:{entry.ref_id}",
        "created_at": clock.rfc3339(entry.created_at),
    }


@bp.get("/me/points/entries")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(EntryOut, "EntryPage")())
def list_entries(args: dict):
    """My points, in and out, newest first."""
    query = sa.select(LedgerEntry).where(LedgerEntry.member_id == g.member_id)
    return page(query, LedgerEntry.id, entry_view, args)
