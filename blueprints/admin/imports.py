"""Members and purchases from CSV."""

from flask import request
from marshmallow import Schema, fields

from blueprints.audited import audited
from blueprints.contract import Blueprint, Out, idempotent, reply
from mall import clock, imports
from mall.atomic import atomic
from mall.imports import Report

CSV_BODY = {
    "required": True,
    "content": {"text/csv": {"schema": {"type": "string"}}},
}

bp = Blueprint("imports", __name__, description="CSV files")


class ImportArgs(Schema):
    dry_run = fields.Boolean(load_default=False)


class PurchaseImportArgs(ImportArgs):
    open_stores = fields.Boolean(load_default=False)


class RefusedRowOut(Out):
    line = fields.Integer()
    reason = fields.String()


class ImportOut(Out):
    dry_run = fields.Boolean()
    created = fields.Integer()
    updated = fields.Integer()
    known = fields.Integer()
    refused_count = fields.Integer()
    refused = fields.List(fields.Nested(RefusedRowOut))


@bp.post("/imports/members")
@idempotent(required=False)
@audited("members.import", apart=True)
@bp.arguments(ImportArgs(), location="query")
@bp.response(200, ImportOut())
@bp.doc(requestBody=CSV_BODY)
def import_members(args: dict, *, key):
    """Import members; a file over 1 MiB goes through `flask imports members`."""
    return _answer(imports.import_members(_file(), **args), args, key)


@bp.post("/imports/purchases")
@idempotent(required=False)
@audited("purchases.import", apart=True)
@bp.arguments(PurchaseImportArgs(), location="query")
@bp.response(200, ImportOut())
@bp.doc(requestBody=CSV_BODY)
def import_purchases(args: dict, *, key):
    """Import receipts; `open_stores` opens a store for each new code.

    A file over 1 MiB goes through `flask imports purchases`.
    """
    return _answer(imports.import_purchases(_file(), **args), args, key)


def _file():
    return imports.opened(request.get_data(cache=True))


def _answer(report: Report, args: dict, key):
    """The import's own rows make it repeatable; the key only keeps its first report."""
    with atomic():
        key.claim(now=clock.now())
        return reply(key.store(200, report.view(dry_run=args["dry_run"])))
