"""Who changed what in the console."""

from flask import g
from marshmallow import fields

from blueprints.auth import OFFICE_ROLES
from blueprints.contract import Blueprint, Out, moment, text
from blueprints.pages import PageArgs, page, page_of
from mall import audit
from mall.errors import WrongAudience
from models import AuditEntry

ASKED_BY = ("actor", "action", "subject_kind", "subject_id")

bp = Blueprint("audit", __name__, description="Who changed what, before and after")


@bp.before_request
def who_runs_the_mall() -> None:
    """What others did is for those who answer for it, not for who only looks."""
    if g.staff.role not in OFFICE_ROLES:
        raise WrongAudience()


class AuditArgs(PageArgs):
    actor = text(1, 40)
    action = text(1, 48)
    subject_kind = text(1, 32)
    subject_id = text(1, 64)


class AuditEntryOut(Out):
    id = fields.Integer()
    at = moment()
    actor = fields.String()
    address = fields.String()
    action = fields.String()
    subject_kind = fields.String()
    subject_id = fields.String()
    before = fields.Dict(keys=fields.String(), allow_none=True)
    after = fields.Dict(keys=fields.String(), allow_none=True)
    tag = fields.String()


@bp.get("/audit")
@bp.arguments(AuditArgs(), location="query")
@bp.response(200, page_of(AuditEntryOut, "AuditPage")())
def list_audit(args: dict):
    """What staff did, newest first; of one person, of one thing or of one kind."""
    only = {name: args[name] for name in ASKED_BY if name in args}
    return page(audit.entries(**only), AuditEntry.seq, audit.view, args)


class ChainOut(Out):
    entries = fields.Integer()
    tag = fields.String()
    broken_at = fields.Integer(allow_none=True)


@bp.get("/audit/verification")
@bp.response(200, ChainOut())
def verify_audit():
    """Compute the whole chain anew. `broken_at` is the first entry that is not as it was written.

    Keep `entries` and `tag` elsewhere: a later look shows whether that end is still in the chain.
    """
    return vars(audit.verify())
