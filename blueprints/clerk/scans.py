"""Scan a code: a member's, or a voucher's."""

from flask import g
from marshmallow import fields, validate

from blueprints.audited import left
from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.shapes import TierOut, VoucherOut
from mall import clock, scans

bp = Blueprint("scans", __name__, description="Members' and vouchers' codes")


class ScanBody(Body):
    code = text(1, 256, required=True)


class UsableVoucherOut(Out):
    id = fields.Integer()
    title = fields.String()
    quantity = fields.Integer()
    expires_at = moment()


class ScannedMemberOut(Out):
    id = fields.Integer()
    nickname = fields.String()
    phone_masked = fields.String(allow_none=True)
    tier = fields.Nested(TierOut)
    points = fields.Integer()
    usable_vouchers = fields.List(fields.Nested(UsableVoucherOut))


class ScanOut(Out):
    kind = fields.String(validate=validate.OneOf(["member", "voucher"]))
    member = fields.Nested(ScannedMemberOut, allow_none=True)
    scan_token = fields.String(allow_none=True)
    voucher = fields.Nested(VoucherOut, allow_none=True)


@bp.post("/scans")
@idempotent(required=False, sealed=True)
@left("scan.show")
@bp.arguments(ScanBody())
@bp.response(200, ScanOut())
@bp.alt_response(404, "NOT_FOUND")
def scan(body: dict, *, key):
    """Say who or what a code stands for; a member code is used up by this."""
    return reply(scans.scan(body["code"], clerk=g.staff, key=key, now=clock.now()))
