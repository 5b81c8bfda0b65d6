"""Tasks and challenges: drafted, looked at, put in force, ended."""

from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.admin.campaigns import FiltersBody
from blueprints.admin.earning import CODE, MAX_DAYS, some
from blueprints.audited import audited
from blueprints.contract import (
    MAX_NUMBER,
    Blueprint,
    Body,
    Nothing,
    Out,
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

MAX_STEPS = 10

bp = Blueprint("tasks", __name__, description="Tasks and challenges")


class TaskOnlyBody(Body):
    stores = some(an_id())
    categories = some(text(1, 32))
    skus = some(text(1, 64))
    rewards = some(an_id())
    tiers = some(text(1, 16))
    min_amount_fen = whole(0, MAX_NUMBER, load_default=0)


class TaskStepBody(Body):
    """A step; of `purchase_amount` the target is fen, of everything else how often."""

    code = fields.String(validate=[validate.Length(1, 16), *CODE[1:]], required=True)
    title = text(1, 48, required=True)
    title_en = text(1, 96, required=True)
    counts = fields.String(validate=validate.OneOf(COUNTS), required=True)
    target = positive(load_default=1)
    only = fields.Nested(TaskOnlyBody(), load_default=dict)


class TaskAudienceBody(FiltersBody):
    new_member_days = whole(1, MAX_DAYS)


class TaskFields(Body):
    """What a draft says beside its code and its period."""

    title = text(1, 48)
    title_en = text(1, 96)
    steps = fields.List(fields.Nested(TaskStepBody()), validate=validate.Length(1, MAX_STEPS))
    ordered = YesOrNo()
    audience = fields.Nested(TaskAudienceBody())
    starts_on = a_day(allow_none=True)
    ends_on = a_day(allow_none=True)
    points = whole(0, MAX_NUMBER)
    bundle_code = text(0, 32)
    automatic = YesOrNo()
    sort = whole(-MAX_NUMBER, MAX_NUMBER)

    @validates_schema
    def says_something(self, data: dict, **_: object) -> None:
        if not data:
            raise ValidationError("nothing to change")


class TaskBody(Body):
    code = fields.String(validate=CODE, required=True)
    period = fields.String(validate=validate.OneOf(PERIODS), load_default="once")
    title = text(1, 48, required=True)
    title_en = text(1, 96, required=True)
    steps = fields.List(
        fields.Nested(TaskStepBody()), validate=validate.Length(1, MAX_STEPS), required=True
    )
    ordered = YesOrNo(load_default=False)
    audience = fields.Nested(TaskAudienceBody(), load_default=dict)
    starts_on = a_day(allow_none=True, load_default=None)
    ends_on = a_day(allow_none=True, load_default=None)
    points = whole(0, MAX_NUMBER, load_default=0)
    bundle_code = text(0, 32, load_default="")
    automatic = YesOrNo(load_default=False)
    sort = whole(-MAX_NUMBER, MAX_NUMBER, load_default=0)
    publish = YesOrNo(load_default=False)


class TaskVersionOut(Out):
    """A version of a task: `retired` is one that ended it."""

    id = fields.Integer()
    task_id = fields.Integer()
    code = fields.String()
    period = fields.String(validate=validate.OneOf(PERIODS))
    version = fields.Integer()
    title = fields.String()
    title_en = fields.String()
    steps = fields.List(fields.Dict(keys=fields.String()))
    ordered = fields.Boolean()
    audience = fields.Dict(keys=fields.String())
    starts_on = business_day(allow_none=True)
    ends_on = business_day(allow_none=True)
    points = fields.Integer()
    bundle_code = fields.String()
    automatic = fields.Boolean()
    sort = fields.Integer()
    state = fields.String(validate=validate.OneOf(["draft", "published", "retired"]))
    created_at = moment()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)


class TaskPreviewOut(Out):
    members = fields.Integer()
    members_total = fields.Integer()


@bp.get("/tasks")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(TaskVersionOut, "TaskVersionPage")())
def list_tasks(args: dict):
    """Every version of every task, drafts too, newest first."""
    return page(tasks.every_version(), TaskVersion.id, tasks.view, args)


@bp.post("/tasks")
@idempotent
@audited("task.write")
@bp.arguments(TaskBody())
@bp.response(201, TaskVersionOut())
def write_task(body: dict, *, key):
    """Write a version of a task: a draft, or with `publish` in force at once.

    What members did counts by the version that was in force then; what they claimed stays.
    """
    now = clock.now()
    return reply(
        tasks.write(body, publish=body.pop("publish"), staff_id=g.staff.id, key=key, now=now)
    )


@bp.patch("/tasks/<id:version_id>")
@audited("task.redraft", TaskVersion)
@bp.arguments(TaskFields())
@bp.response(200, TaskVersionOut())
def redraft_task(body: dict, version_id: int):
    """Change a draft; what is in force stays what it is."""
    return tasks.redraft(version_id, body)


@bp.get("/tasks/<id:version_id>/preview")
@bp.response(200, TaskPreviewOut())
def preview_task(version_id: int):
    """How many members a version is for today."""
    return tasks.preview(version_id, now=clock.now())


@bp.post("/tasks/<id:version_id>/publication")
@idempotent
@audited("task.publish", TaskVersion)
@bp.arguments(Nothing())
@bp.response(200, TaskVersionOut())
def publish_task(_body: dict, version_id: int, *, key):
    """Put a draft in force. Refused where a newer version is."""
    return reply(tasks.publish(version_id, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.post("/tasks/<id:version_id>/retirement")
@idempotent
@audited("task.retire", TaskVersion)
@bp.arguments(Nothing())
@bp.response(201, TaskVersionOut())
def retire_task(_body: dict, version_id: int, *, key):
    """End the task of a version for everybody; what was given stays."""
    return reply(tasks.retire(version_id, staff_id=g.staff.id, key=key, now=clock.now()))
