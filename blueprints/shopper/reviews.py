"""What I say of what I bought."""

import sqlalchemy as sa
from flask import g

from blueprints.contract import Blueprint, Body, an_id, idempotent, reply, text, whole
from blueprints.pages import PageArgs, page, page_of
from blueprints.review_shapes import ProductReviewOut
from mall import clock, reviews
from models import Review

MAX_LINES, MAX_RATING, MAX_TEXT = 200, 5, 500

bp = Blueprint("reviews", __name__, description="Reviews")


class ProductReviewBody(Body):
    purchase_id = an_id(required=True)
    line_no = whole(1, MAX_LINES, load_default=1)
    rating = whole(1, MAX_RATING, required=True)
    text = text(1, MAX_TEXT, required=True)


@bp.get("/me/reviews")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(ProductReviewOut, "ReviewPage")())
def list_reviews(args: dict):
    """My reviews, newest first, with what the shop decided."""
    mine = sa.select(Review).where(Review.member_id == g.member_id)
    return page(mine, Review.id, reviews.view, args)


@bp.post("/me/reviews")
@idempotent
@bp.arguments(ProductReviewBody())
@bp.response(201, ProductReviewOut())
@bp.alt_response(404, "NOT_FOUND")
def write_review(body: dict, *, key):
    """Review a line of a receipt of mine, the first being 1; it is held until the shop has read it."""
    return reply(reviews.write(g.member_id, **body, key=key, now=clock.now()))
