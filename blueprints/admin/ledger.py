"""The ledger proves itself."""

from flask import g
from marshmallow import fields

from blueprints.audited import audited
from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.pages import PageArgs, page, page_of
from mall import clock, ledger
from models import Alarm

SHOWN_AT_MOST = 1000

bp = Blueprint("ledger", __name__, description="The books' own proof")


class MismatchOut(Out):
    check = fields.String()
    subject = fields.String()
    id = fields.Integer()
    expected = fields.String()
    actual = fields.String()


class VerificationOut(Out):
    checked = fields.Dict(keys=fields.String(), values=fields.Integer())
    trial_balance = fields.Dict(keys=fields.String(), values=fields.Integer())
    mismatches = fields.List(fields.Nested(MismatchOut))
    mismatches_total = fields.Integer()


@bp.get("/ledger/verification")
@bp.response(200, VerificationOut())
def verify():
    """Entries = balances = lots; stock, limits and vouchers add up. Each mismatch is named.

    A mismatch is noted as an alarm, and the account it concerns can't spend until that is cleared.
    Of many, the first thousand are in the answer and all of them among the alarms.
    """
    proof = ledger.prove(now=clock.now())
    found = proof["mismatches"]
    return {**proof, "mismatches": found[:SHOWN_AT_MOST], "mismatches_total": len(found)}


class AlarmOut(Out):
    id = fields.Integer()
    check = fields.String()
    subject = fields.String()
    subject_id = fields.Integer()
    member_id = fields.Integer(allow_none=True)
    expected = fields.String()
    actual = fields.String()
    found_at = moment()


@bp.get("/ledger/alarms")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(AlarmOut, "AlarmPage")())
def list_alarms(args: dict):
    """Mismatches that nobody has cleared, newest first."""
    return page(ledger.open_alarms(), Alarm.id, _alarm, args)


def _alarm(alarm: Alarm) -> dict:
    names = ("id", "subject", "subject_id", "member_id", "expected", "actual")
    kept = {name: getattr(alarm, name) for name in names}
    return {**kept, "check": alarm.check_name, "found_at": clock.rfc3339(alarm.found_at)}


class ClearBody(Body):
    note = text(1, 200, required=True)


class ClearedOut(Out):
    id = fields.Integer()
    cleared = fields.Boolean()


@bp.post("/ledger/alarms/<id:alarm_id>/clearance")
@idempotent
@audited("alarm.clear", Alarm)
@bp.arguments(ClearBody())
@bp.response(200, ClearedOut())
def clear_alarm(body: dict, alarm_id: int, *, key):
    """Clear an alarm once the books add up again; the account can spend from then on."""
    staff_id = g.staff.id
    return reply(ledger.clear(alarm_id, **body, staff_id=staff_id, key=key, now=clock.now()))
