"""Receipts of the whole shop."""

import sqlalchemy as sa
from marshmallow import fields

from blueprints import receipts
from blueprints.contract import Blueprint, an_id_asked
from blueprints.pages import page, page_of
from models import Purchase

bp = Blueprint("admin-purchases", __name__, description="Receipts of the whole shop")


class OfficeReceiptArgs(receipts.ReceiptArgs):
    member_id = an_id_asked()


class OfficeReceiptOut(receipts.ReceiptOut):
    member_id = fields.Integer()
    staff_id = fields.Integer(allow_none=True)


@bp.get("/purchases")
@bp.arguments(OfficeReceiptArgs(), location="query")
@bp.response(200, page_of(OfficeReceiptOut, "OfficeReceiptPage")())
def list_purchases(args: dict):
    """Receipts, newest first, by channel, store, day and member."""
    return page(receipts.filtered(sa.select(Purchase), args), Purchase.id, _view, args)


def _view(purchase: Purchase) -> dict:
    who = {"member_id": purchase.member_id, "staff_id": purchase.staff_id}
    return {**receipts.view(purchase), **who}
