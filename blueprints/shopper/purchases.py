"""What I bought."""

import sqlalchemy as sa
from flask import g

from blueprints import receipts
from blueprints.contract import Blueprint
from blueprints.pages import page, page_of
from models import Purchase

bp = Blueprint("my-purchases", __name__, description="What I bought")


@bp.get("/me/purchases")
@bp.arguments(receipts.ReceiptArgs(), location="query")
@bp.response(200, page_of(receipts.ReceiptOut, "ReceiptPage")())
def list_my_purchases(args: dict):
    """My receipts, newest first, by channel, store and day; without those recorded by mistake."""
    mine = sa.select(Purchase).where(
        Purchase.member_id == g.member_id, Purchase.undone_at.is_(None)
    )
    return page(receipts.filtered(mine, args), Purchase.id, receipts.view, args)
