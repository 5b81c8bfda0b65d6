"""Stores, and the rows a shopkeeper tunes, to be looked at."""

import sqlalchemy as sa
from marshmallow import fields

from blueprints.contract import Blueprint, Body, Out, idempotent, reply, text
from blueprints.pages import PageArgs, page, page_of
from mall import clock, stores, tiers
from models import Store

bp = Blueprint("settings", __name__, description="Stores, and the rows a shopkeeper tunes")


class StoreBody(Body):
    code = text(1, 32, required=True)
    name = text(1, 64, required=True)
    address = text(0, 120, load_default="")


class StoreSeenOut(Out):
    id = fields.Integer()
    code = fields.String()
    name = fields.String()
    address = fields.String()


@bp.get("/stores")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(StoreSeenOut, "StorePage")())
def list_stores(args: dict):
    """The shop's stores."""
    return page(sa.select(Store), Store.id, stores.view, args, ascending=True)


@bp.post("/stores")
@idempotent
@bp.arguments(StoreBody())
@bp.response(201, StoreSeenOut())
def open_store(body: dict, *, key):
    """Add a store."""
    return reply(stores.open_store(**body, key=key, now=clock.now()))


class TierRowOut(Out):
    code = fields.String()
    name = fields.String()
    growth_min = fields.Integer()


class TierListOut(Out):
    items = fields.List(fields.Nested(TierRowOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/tiers")
@bp.response(200, TierListOut())
def list_tiers():
    """The tiers, lowest first."""
    return {"items": tiers.ladder(), "next_cursor": None}
