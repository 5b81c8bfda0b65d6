"""Reviews of what a member bought."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.contract import (
    Blueprint,
    Body,
    Out,
    an_id,
    idempotent,
    moment,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, reviews
from models import Review
from models.reviews import LONGEST, STATES

MAX_LINES = 200
MAX_RATING = 5

bp = Blueprint("reviews", __name__, description="Reviews of what was bought")


class NewReview(Body):
    """A review of a line of a receipt; one without items has one line."""

    purchase_id = an_id(required=True)
    line_no = whole(1, MAX_LINES, load_default=1)
    rating = whole(1, MAX_RATING, required=True)
    text = text(1, LONGEST, required=True)


class MyReviewOut(Out):
    """`note` says why where the shop has rejected it."""

    id = fields.Integer()
    purchase_id = fields.Integer()
    line_no = fields.Integer()
    rating = fields.Integer()
    text = fields.String()
    state = fields.String(validate=validate.OneOf(STATES))
    note = fields.String()
    created_at = moment()
    decided_at = moment(allow_none=True)


@bp.get("/me/reviews")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(MyReviewOut, "MyReviewPage")())
def list_reviews(args: dict):
    """My reviews, newest first, and what the shop said of them."""
    mine = sa.select(Review).where(Review.member_id == g.member_id)
    return page(mine, Review.id, reviews.view, args)


@bp.post("/me/reviews")
@idempotent
@bp.arguments(NewReview())
@bp.response(201, MyReviewOut())
@bp.alt_response(404, "NOT_FOUND")
def write_review(body: dict, *, key):
    """Review a line of a receipt of mine, once; the shop reads it before it counts."""
    return reply(reviews.write(g.member_id, **body, key=key, now=clock.now()))
