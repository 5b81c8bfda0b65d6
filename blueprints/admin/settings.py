"""Stores, and the rows a shopkeeper tunes, to be looked at."""

import sqlalchemy as sa
from marshmallow import fields

from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.pages import PageArgs, page, page_of
from mall import clock, stores
from models import EarningRule, Store

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


class EarningRuleOut(Out):
    id = fields.Integer()
    code = fields.String()
    version = fields.Integer()
    name = fields.String()
    points_per_yuan = fields.Integer()
    growth_per_yuan = fields.Integer()
    min_amount_fen = fields.Integer()
    published_at = moment()


def _rule(rule: EarningRule) -> dict:
    names = [name for name in EarningRuleOut().fields if name != "published_at"]
    shown = {name: getattr(rule, name) for name in names}
    return {**shown, "published_at": clock.rfc3339(rule.published_at)}


@bp.get("/earning-rules")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(EarningRuleOut, "EarningRulePage")())
def list_earning_rules(args: dict):
    """Every version of every earning rule, newest first."""
    return page(sa.select(EarningRule), EarningRule.id, _rule, args)
