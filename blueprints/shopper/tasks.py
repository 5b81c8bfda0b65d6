"""The tasks of a member, and what they claim for them."""

from flask import g
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Body, Out, idempotent, moment, reply, text
from mall import clock, tasks
from models.tasks import COUNTS, PERIODS

MAX_PERIOD_LENGTH = 24

bp = Blueprint("tasks", __name__, description="Tasks and challenges")


class TaskStepOut(Out):
    code = fields.String()
    title = fields.String()
    title_en = fields.String()
    counts = fields.String(validate=validate.OneOf(COUNTS))
    target = fields.Integer()
    progress = fields.Integer()
    done = fields.Boolean()


class TaskOut(Out):
    """A task in the period of this moment; `unit` says what `target` and `progress` count."""

    id = fields.Integer()
    code = fields.String()
    title = fields.String()
    title_en = fields.String()
    period = fields.String(validate=validate.OneOf(PERIODS))
    period_key = fields.String()
    target = fields.Integer()
    progress = fields.Integer()
    unit = fields.String(validate=validate.OneOf(["times", "fen"]))
    ordered = fields.Boolean()
    steps = fields.List(fields.Nested(TaskStepOut))
    points = fields.Integer()
    gift = fields.String(allow_none=True)
    automatic = fields.Boolean()
    state = fields.String(validate=validate.OneOf(["todo", "claimable", "claimed", "missed"]))
    note = fields.String(allow_none=True)
    ends_at = moment(allow_none=True)


class TaskListOut(Out):
    items = fields.List(fields.Nested(TaskOut))
    next_cursor = fields.String(allow_none=True)


class ClaimBody(Body):
    """`period_key` is the period as it was shown; without it, that of this moment."""

    period_key = text(1, MAX_PERIOD_LENGTH)


class ClaimGiftOut(Out):
    name = fields.String()
    units = fields.Integer()


class ClaimOut(Out):
    points_awarded = fields.Integer()
    balance_after = fields.Integer()
    gift = fields.Nested(ClaimGiftOut, allow_none=True)


@bp.get("/me/tasks")
@bp.response(200, TaskListOut())
def list_tasks():
    """My tasks: what can be claimed first, then what is to do, what is claimed, what was missed."""
    return {"items": tasks.listed(g.member_id, now=clock.now()), "next_cursor": None}


@bp.post("/me/tasks/<id:task_id>/claims")
@idempotent
@bp.arguments(ClaimBody(), required=False)
@bp.response(201, ClaimOut())
def claim_task(body: dict, task_id: int, *, key):
    """Claim what a task gives that I have done, once and within its period."""
    return reply(tasks.claim(task_id, g.member_id, **body, key=key, now=clock.now()))
