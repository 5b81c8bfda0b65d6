"""What was done at this till, and its undoing."""

from flask import g
from marshmallow import fields, validate

from blueprints.audited import left
from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from blueprints.pages import PageArgs, page, page_of
from mall import clock, undo
from models import TillAction

bp = Blueprint("actions", __name__, description="What was done, and its undoing")


class ActionArgs(PageArgs):
    whose = fields.String(load_default="own", validate=validate.OneOf(["own", "store"]))


class ActionOut(Out):
    id = fields.Integer()
    kind = fields.String(validate=validate.OneOf(["purchase", "refund", "voucher_use"]))
    ref_id = fields.Integer()
    label = fields.String()
    member_id = fields.Integer()
    staff = fields.String()
    done_at = moment()
    undo_until = moment()
    can_undo = fields.Boolean()
    undone_at = moment(allow_none=True)
    undone_by = fields.String(allow_none=True)
    undo_reason = fields.String()


class UndoneOut(ActionOut):
    """`points`, `debt_points` and `growth` are what moved, with their sign."""

    points = fields.Integer()
    debt_points = fields.Integer()
    growth = fields.Integer()
    tier_before = fields.String()
    tier_after = fields.String()
    balance_after = fields.Integer()


@bp.get("/actions")
@bp.arguments(ActionArgs(), location="query")
@bp.response(200, page_of(ActionOut, "ActionPage")())
def list_actions(args: dict):
    """My last actions, newest first; a manager sees the store's with `?whose=store`."""
    now = clock.now()
    seen = undo.seen_by(g.staff, whole_store=args["whose"] == "store")
    return page(seen, TillAction.id, lambda each: undo.view(each, staff=g.staff, now=now), args)


class UndoBody(Body):
    reason = text(1, 40, required=True)


@bp.post("/actions/<id:action_id>/undo")
@idempotent
@left("till_action.undo")
@bp.arguments(UndoBody())
@bp.response(200, UndoneOut())
@bp.alt_response(404, "NOT_FOUND")
def undo_action(body: dict, action_id: int, *, key):
    """Undo an action exactly, once: one's own within the window, a manager the store's at any time."""
    now = clock.now()
    return reply(undo.undo(action_id, body["reason"], staff=g.staff, key=key, now=now))
