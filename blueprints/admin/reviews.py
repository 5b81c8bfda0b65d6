"""Reviews that wait to be read, and what became of the others."""

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import Blueprint, Body, YesOrNo, idempotent, reply, text
from blueprints.pages import PageArgs, page, page_of
from blueprints.shopper.reviews import MyReviewOut
from mall import clock, reviews
from models import Review
from models.reviews import STATES

bp = Blueprint("reviews", __name__, description="Reviews of what was bought")


class ReviewArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(STATES))


class ReviewOut(MyReviewOut):
    member_id = fields.Integer()
    decided_by = fields.Integer(allow_none=True)


class DecisionBody(Body):
    approved = YesOrNo(required=True)
    note = text(0, 100, load_default="")

    @validates_schema
    def says_why(self, data: dict, **_: object) -> None:
        if not data["approved"] and not data["note"]:
            raise ValidationError("say why", "note")


@bp.get("/reviews")
@bp.arguments(ReviewArgs(), location="query")
@bp.response(200, page_of(ReviewOut, "ReviewPage")())
def list_reviews(args: dict):
    """Reviews, newest first; `state=held` are those that wait."""
    query = sa.select(Review)
    if "state" in args:
        query = query.where(Review.state == args["state"])
    return page(query, Review.id, reviews.of_shop, args)


@bp.post("/reviews/<id:review_id>/decision")
@idempotent
@audited("review.decide", Review)
@bp.arguments(DecisionBody())
@bp.response(200, ReviewOut())
def decide_review(body: dict, review_id: int, *, key):
    """Approve a review, or reject it and say why; once."""
    return reply(reviews.decide(review_id, **body, staff_id=g.staff.id, key=key, now=clock.now()))
