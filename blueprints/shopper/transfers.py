"""Points given to a friend."""

from flask import g
from marshmallow import fields

from blueprints.contract import Blueprint, Body, Out, idempotent, positive, reply, text
from mall import clock, transfers

bp = Blueprint("transfers", __name__, description="Points for a friend")


class TransferBody(Body):
    card_no = text(12, 12, required=True)
    points = positive(required=True)
    note = text(0, 40, load_default="")


class TransferOut(Out):
    id = fields.Integer()
    points = fields.Integer()
    to = fields.String()
    balance_after = fields.Integer()


@bp.post("/me/transfers")
@idempotent
@bp.arguments(TransferBody())
@bp.response(201, TransferOut())
def give_points(body: dict, *, key):
    """Give points to the member of a card, where the shop allows it."""
    amount = body.pop("points")
    return reply(transfers.transfer(g.member_id, amount=amount, **body, key=key, now=clock.now()))
