"""Tasks: what there is to do, how far I am, and claiming what is done."""

from flask import g
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Body, Out, Pattern, idempotent, moment, reply
from blueprints.errors import language
from mall import clock, tasks
from models.tasks import COUNTS, PERIODS

STATES = ["todo", "claimable", "claimed", "missed"]
UNITS = ["times", "fen"]

bp = Blueprint("tasks", __name__, description="Tasks")


class TaskStepOut(Out):
    code = fields.String()
    title = fields.String()
    counts = fields.String(validate=validate.OneOf(COUNTS))
    target = fields.Integer()
    progress = fields.Integer()
    done = fields.Boolean()


class TaskOut(Out):
    """A task as its member sees it. `progress` and `target` are in `unit`: times, or fen.

    `period_key` names the period; sent with a claim, it makes sure that this very period is claimed.
    `note` says why a gift stayed whose task a refund undid.
    """

    id = fields.Integer()
    code = fields.String()
    title = fields.String()
    period = fields.String(validate=validate.OneOf(PERIODS))
    period_key = fields.String()
    target = fields.Integer()
    progress = fields.Integer()
    unit = fields.String(validate=validate.OneOf(UNITS))
    ordered = fields.Boolean()
    steps = fields.List(fields.Nested(TaskStepOut))
    points = fields.Integer()
    gift = fields.String(allow_none=True)
    automatic = fields.Boolean()
    state = fields.String(validate=validate.OneOf(STATES))
    note = fields.String(allow_none=True)
    ends_at = moment(allow_none=True)


class TaskListOut(Out):
    items = fields.List(fields.Nested(TaskOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/me/tasks")
@bp.response(200, TaskListOut())
def list_tasks():
    """My tasks: what can be claimed first, what is over last, and only for a week."""
    found = tasks.listed(g.member_id, now=clock.now())
    return {"items": [_spoken(each) for each in found], "next_cursor": None}


def _spoken(task: dict) -> dict:
    """A task in the caller's language."""
    english = language() == "en"
    steps = [
        {**step, "title": step["title_en"] if english else step["title"]} for step in task["steps"]
    ]
    return {**task, "title": task["title_en"] if english else task["title"], "steps": steps}


class ClaimBody(Body):
    period_key = fields.String(validate=Pattern(r"^[0-9a-zA-Z-]{1,10}$"), load_default=None)


class TaskGiftOut(Out):
    """A bundle that a task gave, and how many vouchers of it."""

    name = fields.String()
    units = fields.Integer()


class ClaimOut(Out):
    points_awarded = fields.Integer()
    balance_after = fields.Integer()
    gift = fields.Nested(TaskGiftOut, allow_none=True)


@bp.post("/me/tasks/<id:task_id>/claims")
@idempotent
@bp.arguments(ClaimBody())
@bp.response(201, ClaimOut())
def claim_task(body: dict, task_id: int, *, key):
    """Claim what a task gives, once in each of its periods and only while it lasts."""
    return reply(tasks.claim(task_id, g.member_id, **body, key=key, now=clock.now()))
