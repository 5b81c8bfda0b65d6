"""The ledger proves itself."""

from marshmallow import fields

from blueprints.contract import Blueprint, Out
from mall import ledger

bp = Blueprint("ledger", __name__, description="The books' own proof")


class MismatchOut(Out):
    check = fields.String()
    subject = fields.String()
    id = fields.Integer()
    expected = fields.String()
    actual = fields.String()


class VerificationOut(Out):
    checked = fields.Dict(keys=fields.String(), values=fields.Integer())
    mismatches = fields.List(fields.Nested(MismatchOut))


@bp.get("/ledger/verification")
@bp.response(200, VerificationOut())
def verify():
    """Entries = balances = lots; stock, limits and vouchers add up. Each mismatch is named."""
    return ledger.verify()
