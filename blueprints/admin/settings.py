"""Stores, tiers, and the settings a shopkeeper tunes."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields

from blueprints.audited import audited
from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.pages import PageArgs, page, page_of
from mall import clock, stores, tuning
from models import SettingChange, ShopSetting, Store

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
@audited("store.open")
@bp.arguments(StoreBody())
@bp.response(201, StoreSeenOut())
def open_store(body: dict, *, key):
    """Add a store."""
    return reply(stores.open_store(**body, key=key, now=clock.now()))


class SettingOut(Out):
    name = fields.String()
    value = fields.Raw()
    version = fields.Integer()
    default = fields.Raw()
    may_be = fields.String()


class SettingListOut(Out):
    items = fields.List(fields.Nested(SettingOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/settings")
@bp.response(200, SettingListOut())
def list_settings():
    """Every setting with its value, its default and what it may be."""
    return {"items": tuning.views(), "next_cursor": None}


class SettingBody(Body):
    value = fields.Raw(required=True, allow_none=False)


@bp.post("/settings/<string:name>")
@idempotent
@audited("setting.change", ShopSetting)
@bp.arguments(SettingBody())
@bp.response(200, SettingOut())
def change_setting(body: dict, name: str, *, key):
    """Give a setting another value from now on. What was done before keeps the version it names."""
    value, staff_id = body["value"], g.staff.id
    return reply(tuning.change(name, value, staff_id=staff_id, key=key, now=clock.now()))


class SettingChangeArgs(PageArgs):
    name = text(1, 40)


class SettingChangeOut(Out):
    id = fields.Integer()
    name = fields.String()
    version = fields.Integer()
    value = fields.Raw()
    changed_by = fields.Integer(allow_none=True)
    changed_at = moment(allow_none=True)


@bp.get("/setting-changes")
@bp.arguments(SettingChangeArgs(), location="query")
@bp.response(200, page_of(SettingChangeOut, "SettingChangePage")())
def list_setting_changes(args: dict):
    """What settings were, version by version, newest first; one setting's with `name`."""
    name = args.pop("name", None)
    return page(tuning.changes(name), SettingChange.id, tuning.change_view, args)
