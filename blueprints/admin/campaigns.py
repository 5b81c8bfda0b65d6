"""Points for a segment of members: draft, preview, run, and the second pair of eyes."""

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    YesOrNo,
    a_day,
    an_id,
    idempotent,
    moment,
    positive,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import campaigns, clock
from models import PointsCampaign

STATES = ["draft", "previewed", "pending", "running", "done", "rejected"]
MAX_TIERS = 20

bp = Blueprint("campaigns", __name__, description="Points for a segment of members")


class FiltersBody(Body):
    tiers = fields.List(text(1, 16), validate=validate.Length(1, MAX_TIERS))
    joined_from = a_day()
    joined_until = a_day()
    last_purchase_from = a_day()
    last_purchase_until = a_day()
    store_id = an_id()
    city = text(1, 64)
    gender = fields.String(validate=validate.OneOf(["unknown", "male", "female"]))
    birthday_month = whole(1, 12)

    @validates_schema
    def in_order(self, data: dict, **_: object) -> None:
        for name in ("joined", "last_purchase"):
            first, last = data.get(f"{name}_from"), data.get(f"{name}_until")
            if first and last and first > last:
                raise ValidationError("ends before it begins", f"{name}_until")


class CampaignBody(Body):
    name = text(1, 40, required=True)
    points = positive(required=True)
    budget_points = positive(required=True)
    filters = fields.Nested(FiltersBody(), load_default=dict)


class CampaignOut(Out):
    """`members` and `cost_points` are the last preview's; `points_given` grows while it runs."""

    id = fields.Integer()
    name = fields.String()
    filters = fields.Dict(keys=fields.String())
    points = fields.Integer()
    budget_points = fields.Integer()
    state = fields.String(validate=validate.OneOf(STATES))
    members = fields.Integer()
    cost_points = fields.Integer()
    cost_fen = fields.Integer()
    needs_second_person = fields.Boolean()
    members_given = fields.Integer()
    members_skipped = fields.Integer()
    points_given = fields.Integer()
    drafted_by = fields.Integer()
    drafted_at = moment()
    previewed_at = moment(allow_none=True)
    run_by = fields.Integer(allow_none=True)
    reviewed_by = fields.Integer(allow_none=True)
    finished_at = moment(allow_none=True)


class CampaignArgs(PageArgs):
    state = fields.String(validate=validate.OneOf(STATES))


@bp.get("/points-campaigns")
@bp.arguments(CampaignArgs(), location="query")
@bp.response(200, page_of(CampaignOut, "CampaignPage")())
def list_campaigns(args: dict):
    """Campaigns, newest first."""
    query = sa.select(PointsCampaign)
    if "state" in args:
        query = query.where(PointsCampaign.state == args["state"])
    return page(query, PointsCampaign.id, campaigns.view, args)


@bp.post("/points-campaigns")
@idempotent
@audited("points_campaign.draft")
@bp.arguments(CampaignBody())
@bp.response(201, CampaignOut())
def draft_campaign(body: dict, *, key):
    """Draft a campaign: how many points for each member of a segment, within which budget."""
    return reply(campaigns.draft(body, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.post("/points-campaigns/<id:campaign_id>/preview")
@idempotent
@audited("points_campaign.preview", PointsCampaign)
@bp.arguments(Nothing(), required=False)
@bp.response(200, CampaignOut())
def preview_campaign(_body: dict, campaign_id: int, *, key):
    """Take down who would be given points, and what that costs."""
    return reply(campaigns.preview(campaign_id, key=key, now=clock.now()))


@bp.post("/points-campaigns/<id:campaign_id>/run")
@idempotent
@audited("points_campaign.run", PointsCampaign)
@bp.arguments(Nothing(), required=False)
@bp.response(200, CampaignOut())
@bp.alt_response(202, schema=CampaignOut(), success=True, description="Waits for another admin")
def run_campaign(_body: dict, campaign_id: int, *, key):
    """Give to those whom the preview found, and to nobody else; the worker does it in batches."""
    return reply(campaigns.run(campaign_id, staff_id=g.staff.id, key=key, now=clock.now()))


class CampaignReviewBody(Body):
    approved = YesOrNo(required=True)


@bp.post("/points-campaigns/<id:campaign_id>/review")
@idempotent
@audited("points_campaign.review", PointsCampaign)
@bp.arguments(CampaignReviewBody())
@bp.response(200, CampaignOut())
def review_campaign(body: dict, campaign_id: int, *, key):
    """Approve or reject what another admin asked for."""
    who, now = g.staff.id, clock.now()
    return reply(campaigns.review(campaign_id, **body, staff_id=who, key=key, now=now))
