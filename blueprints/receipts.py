"""Receipts as lists show them, to their owner and in the console; with one set of filters."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from marshmallow import fields, validate

from blueprints.contract import Out, a_day, an_id_asked, moment, text
from blueprints.pages import PageArgs
from mall import clock
from models import Purchase, Store, db

STATES = ("recorded", "refunded", "undone")


class ReceiptArgs(PageArgs):
    channel = text(1, 8)
    store_id = an_id_asked()
    day = a_day()


class ReceiptOut(Out):
    """`refunded` once all of its money went back, `undone` where it was a mistake."""

    id = fields.Integer()
    receipt_no = fields.String()
    channel = fields.String()
    store_id = fields.Integer()
    store = fields.String()
    amount_fen = fields.Integer()
    refunded_fen = fields.Integer()
    points_awarded = fields.Integer()
    growth_awarded = fields.Integer()
    state = fields.String(validate=validate.OneOf(STATES))
    paid_at = moment()


def filtered(query: sa.Select[Any], args: dict[str, Any]) -> sa.Select[Any]:
    """Those of a channel, of a store, paid on a business day."""
    for name in ("channel", "store_id", "member_id"):
        if name in args:
            query = query.where(getattr(Purchase, name) == args[name])
    if "day" in args:
        since: datetime = clock.start_of_day(args["day"])
        until = clock.end_of_day(args["day"])
        query = query.where(Purchase.paid_at >= since, Purchase.paid_at < until)
    return query


def view(purchase: Purchase) -> dict[str, Any]:
    names = ("id", "channel", "store_id", "amount_fen", "refunded_fen")
    shown = {name: getattr(purchase, name) for name in names}
    return {
        **shown,
        "receipt_no": purchase.undone_receipt_no or purchase.receipt_no,
        "store": db.session.get_one(Store, purchase.store_id).name,
        "points_awarded": purchase.points_awarded,
        "growth_awarded": purchase.growth_awarded,
        "state": state_of(purchase),
        "paid_at": clock.rfc3339(purchase.paid_at),
    }


def state_of(purchase: Purchase) -> str:
    if purchase.undone_at is not None:
        return "undone"
    return "refunded" if purchase.refunded_fen == purchase.amount_fen else "recorded"
