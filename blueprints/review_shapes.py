"""A review as its author and the shop see it."""

from marshmallow import fields, validate

from blueprints.contract import Out, moment
from models.reviews import STATES


class ProductReviewOut(Out):
    """`note` is what the shop says of a decision; a rejected review makes room for another."""

    id = fields.Integer()
    member_id = fields.Integer()
    purchase_id = fields.Integer()
    line_no = fields.Integer()
    rating = fields.Integer()
    text = fields.String()
    state = fields.String(validate=validate.OneOf(STATES))
    note = fields.String()
    created_at = moment()
    decided_by = fields.Integer(allow_none=True)
    decided_at = moment(allow_none=True)
