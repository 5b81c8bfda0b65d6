"""Reviews that wait to be read, and what was decided of them."""

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.contract import Blueprint, Body, YesOrNo, idempotent, reply, text
from blueprints.pages import PageArgs, page, page_of
from blueprints.review_shapes import ProductReviewOut
from mall import clock, reviews
from models import Review
from models.reviews import STATES

bp = Blueprint("reviews", __name__, description="Reviews that wait to be read")


class ReviewArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(STATES))


class ReviewDecisionBody(Body):
    approved = YesOrNo(required=True)
    note = text(0, 100, load_default="")

    @validates_schema
    def says_why(self, data: dict, **_: object) -> None:
        if data.get("approved") is False and not data.get("note"):
            raise ValidationError("a rejection says why", "note")


@bp.get("/reviews")
@bp.arguments(ReviewArgs(), location="query")
@bp.response(200, page_of(ProductReviewOut, "AdminReviewPage")())
def list_reviews(args: dict):
    """Reviews, newest first; `?state=held` are those that wait."""
    query = sa.select(Review)
    if "state" in args:
        query = query.where(Review.state == args["state"])
    return page(query, Review.id, reviews.view, args)


@bp.post("/reviews/<id:review_id>/decision")
@idempotent
@bp.arguments(ReviewDecisionBody())
@bp.response(200, ProductReviewOut())
def decide_review(body: dict, review_id: int, *, key):
    """Approve a review, which then counts towards tasks, or reject it and say why; once."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(reviews.decide(review_id, **body, **who, now=clock.now()))
