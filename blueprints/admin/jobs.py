"""What is done without being asked, and when it last was."""

from marshmallow import fields

from blueprints.contract import Blueprint, Out, moment
from mall import jobs

bp = Blueprint("jobs", __name__, description="What is done without being asked")


class RunOut(Out):
    started_at = moment()
    finished_at = moment()
    done = fields.Integer()
    done_in_all = fields.Integer()
    error = fields.String(allow_none=True)
    failures = fields.Integer()


class JobOut(Out):
    name = fields.String()
    schedule = fields.String()
    last_run = fields.Nested(RunOut, allow_none=True)


class JobListOut(Out):
    items = fields.List(fields.Nested(JobOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/jobs")
@bp.response(200, JobListOut())
def list_jobs():
    """Every job with its schedule, how much its last run did or why it failed."""
    return {"items": jobs.schedules(), "next_cursor": None}
