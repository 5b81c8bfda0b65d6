"""Tasks and challenges: written, looked at, put in force, ended."""

from flask import g
from marshmallow import fields, validate

from blueprints.admin.campaigns import FiltersBody
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Nothing,
    Out,
    Pattern,
    YesOrNo,
    a_day,
    an_id,
    business_day,
    idempotent,
    moment,
    positive,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, tasks
from models import TaskVersion
from models.tasks import COUNTS, PERIODS

MAX_STEPS, MAX_NAMES, MAX_DAYS = 10, 100, 3_650
CODE = Pattern(r"^[a-z0-9_-]{1,32}$", error="small letters, digits, - and _")
STEP_CODE = Pattern(r"^[a-z0-9_-]{1,16}$", error="small letters, digits, - and _")

bp = Blueprint("tasks", __name__, description="Tasks and challenges")


def _some(field: fields.Field) -> fields.List:
    return fields.List(field, validate=validate.Length(max=MAX_NAMES), load_default=list)


class OnlyBody(Body):
    """What a step is restricted to; what is empty restricts nothing."""

    stores = _some(an_id())
    categories = _some(text(1, 32))
    skus = _some(text(1, 64))
    rewards = _some(an_id())
    min_amount_fen = whole(0, MAX_NUMBER, load_default=0)


class TaskStepBody(Body):
    code = fields.String(required=True, validate=STEP_CODE)
    title = text(1, 48, required=True)
    title_en = text(1, 96, required=True)
    counts = fields.String(required=True, validate=validate.OneOf(COUNTS))
    target = positive(required=True)
    only = fields.Nested(OnlyBody(), load_default=dict)


class TaskAudienceBody(FiltersBody):
    """The filters of a segment, and newcomers for so many days, the day of joining being the first."""

    new_member_days = whole(1, MAX_DAYS)


class TaskBody(Body):
    code = fields.String(required=True, validate=CODE)
    title = text(1, 48, required=True)
    title_en = text(1, 96, required=True)
    period = fields.String(required=True, validate=validate.OneOf(PERIODS))
    steps = fields.List(
        fields.Nested(TaskStepBody()), required=True, validate=validate.Length(1, MAX_STEPS)
    )
    ordered = YesOrNo(load_default=False)
    audience = fields.Nested(TaskAudienceBody(), load_default=dict)
    starts_on = a_day(load_default=None, allow_none=True)
    ends_on = a_day(load_default=None, allow_none=True)
    points = positive(load_default=0)
    bundle_code = text(0, 32, load_default="")
    automatic = YesOrNo(load_default=False)
    active = YesOrNo(load_default=True)
    sort = whole(-MAX_NUMBER, MAX_NUMBER, load_default=0)
    publish = YesOrNo(load_default=False)


class TaskVersionOut(Out):
    """A version of a task; `task_id` is what shoppers claim by."""

    id = fields.Integer()
    task_id = fields.Integer()
    code = fields.String()
    version = fields.Integer()
    title = fields.String()
    title_en = fields.String()
    period = fields.String(validate=validate.OneOf(PERIODS))
    steps = fields.List(fields.Dict(keys=fields.String()))
    ordered = fields.Boolean()
    audience = fields.Dict(keys=fields.String())
    starts_on = business_day(allow_none=True)
    ends_on = business_day(allow_none=True)
    points = fields.Integer()
    bundle_code = fields.String()
    automatic = fields.Boolean()
    active = fields.Boolean()
    sort = fields.Integer()
    state = fields.String(validate=validate.OneOf(["draft", "published"]))
    created_at = moment()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)


class TaskPreviewOut(Out):
    """How many members a task is for, of how many."""

    members = fields.Integer()
    of_members = fields.Integer()


@bp.get("/tasks")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(TaskVersionOut, "TaskVersionPage")())
def list_tasks(args: dict):
    """Every version of every task, drafts too, newest first; the newest published is in force."""
    return page(tasks.every_version(), TaskVersion.id, tasks.view, args)


@bp.post("/tasks")
@idempotent
@bp.arguments(TaskBody())
@bp.response(201, TaskVersionOut())
@bp.alt_response(404, "NOT_FOUND")
def write_task(body: dict, *, key):
    """Write a version of a task: a draft, or with `publish` in force at once.

    What was done counts by the version in force when it was done. `active: false` ends a task.
    """
    publish = body.pop("publish")
    who = {"staff_id": g.staff.id, "key": key, "now": clock.now()}
    return reply(tasks.write(body, publish=publish, **who))


@bp.get("/tasks/<id:version_id>/preview")
@bp.response(200, TaskPreviewOut())
def preview_task(version_id: int):
    """How many members a version is for as things stand; nothing is changed."""
    return tasks.preview(version_id, now=clock.now())


@bp.post("/tasks/<id:version_id>/publication")
@idempotent
@bp.arguments(Nothing())
@bp.response(200, TaskVersionOut())
def publish_task(_body: dict, version_id: int, *, key):
    """Put a draft in force. Refused where a newer version is."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(tasks.publish(version_id, **who, now=clock.now()))
