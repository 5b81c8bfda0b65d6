"""Earning rules: written, tried on one receipt or on the shop's past, and put in force."""

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.clerk.purchases import MAX_ITEMS, ItemBody, LineOut
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
    idempotent,
    moment,
    positive,
    reply,
    text,
    whole,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, earning
from models import EarningRule
from models.earning import KINDS, TRIGGERS

MAX_NAMES = 200
MIN_PERCENT, MAX_PERCENT = 101, 10_000
MAX_DAYS = 3_650
CODE = [validate.Length(1, 32), Pattern(r"^[^\s:]+$", error="neither blanks nor colons")]

bp = Blueprint("earning", __name__, description="What earns points")


def some(field: fields.Field, most: int = MAX_NAMES) -> fields.List:
    return fields.List(field, validate=validate.Length(max=most), load_default=list)


class RateBody(Body):
    points = positive(required=True)
    per_fen = positive(load_default=100)
    rounding = fields.String(
        validate=validate.OneOf(["full_units", "floor", "half_up", "ceiling"]),
        load_default="full_units",
    )


class CapsBody(Body):
    transaction = positive()
    day = positive()
    period = positive()
    period_kind = fields.String(validate=validate.OneOf(["week", "month", "year", "ever"]))


class AudienceBody(Body):
    tiers = some(text(1, 16))
    stores = some(an_id())
    new_member_days = whole(1, MAX_DAYS)


class WindowBody(Body):
    starts_on = a_day()
    ends_on = a_day()
    weekdays = some(whole(1, 7), 7)
    month_days = some(whole(1, 31), 31)
    birthday = fields.String(validate=validate.OneOf(["day", "week", "month"]))


class RuleBody(Body):
    code = fields.String(validate=CODE, required=True)
    name = text(1, 48, required=True)
    kind = fields.String(validate=validate.OneOf(KINDS), load_default="base")
    trigger = fields.String(validate=validate.OneOf(TRIGGERS), load_default="purchase")
    matches = some(text(1, 64))
    priority = whole(-MAX_NUMBER, MAX_NUMBER, load_default=0)
    active = YesOrNo(load_default=True)
    rate = fields.Nested(RateBody())
    points = positive()
    percent = whole(MIN_PERCENT, MAX_PERCENT)
    min_amount_fen = whole(0, MAX_NUMBER, load_default=0)
    caps = fields.Nested(CapsBody())
    excluded_categories = some(text(1, 32))
    excluded_skus = some(text(1, 64))
    audience = fields.Nested(AudienceBody())
    window = fields.Nested(WindowBody())
    award = fields.String(validate=validate.OneOf(["now", "later", "pickup"]), load_default="now")
    award_after_days = whole(1, MAX_DAYS)
    publish = YesOrNo(load_default=False)


class RuleOut(Out):
    id = fields.Integer()
    code = fields.String()
    version = fields.Integer()
    name = fields.String()
    kind = fields.String()
    trigger = fields.String()
    priority = fields.Integer()
    active = fields.Boolean()
    terms = fields.Dict(keys=fields.String())
    state = fields.String(validate=validate.OneOf(["draft", "published"]))
    created_at = moment()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)


@bp.get("/earning-rules")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(RuleOut, "EarningRulePage")())
def list_rules(args: dict):
    """Every version of every earning rule, drafts too, newest first."""
    return page(sa.select(EarningRule), EarningRule.id, earning.view, args)


@bp.post("/earning-rules")
@idempotent
@audited("earning_rule.write")
@bp.arguments(RuleBody())
@bp.response(201, RuleOut())
def write_rule(body: dict, *, key):
    """Write a version of a rule: a draft, or with `publish` in force at once.

    Entries keep the version that made them, whatever comes after. `active: false` ends a rule.
    """
    now = clock.now()
    return reply(
        earning.write(body, publish=body.pop("publish"), staff_id=g.staff.id, key=key, now=now)
    )


@bp.post("/earning-rules/<id:rule_id>/publication")
@idempotent
@audited("earning_rule.publish", EarningRule)
@bp.arguments(Nothing())
@bp.response(200, RuleOut())
def publish_rule(_body: dict, rule_id: int, *, key):
    """Put a draft in force. Refused where a newer version is."""
    return reply(earning.publish(rule_id, staff_id=g.staff.id, key=key, now=clock.now()))


class DryRunBody(Body):
    member_id = an_id(required=True)
    amount_fen = positive(required=True)
    store_id = an_id()
    day = a_day()
    items = fields.List(
        fields.Nested(ItemBody()), validate=validate.Length(max=MAX_ITEMS), load_default=list
    )
    draft_ids = some(an_id(), 20)

    @validates_schema
    def items_are_part_of_it(self, data: dict, **_: object) -> None:
        if sum(item["amount_fen"] for item in data["items"]) > data["amount_fen"]:
            raise ValidationError("items may not cost more than the receipt", "items")


class DryRunOut(Out):
    points = fields.Integer()
    growth = fields.Integer()
    pending_until = moment(allow_none=True)
    lines = fields.List(fields.Nested(LineOut))


@bp.post("/earning-rules/dry-runs")
@idempotent
@bp.arguments(DryRunBody())
@bp.response(200, DryRunOut())
def try_receipt(body: dict, *, key):
    """What a receipt would earn, line by line, by the rules in force or with drafts in their place.

    Nothing is changed, and what a member has had of rules with caps is not looked at.
    """
    now = clock.now()
    day = body.get("day", clock.business_day(now))
    bill = earning.Bill(body["amount_fen"], day, body.get("store_id"), body["items"])
    drafts = body["draft_ids"]
    return reply(earning.dry_run(body["member_id"], bill, drafts, key=key, now=now))


class BackTestBody(Body):
    draft_ids = fields.List(an_id(), validate=validate.Length(1, 20), required=True)
    tier_rule_id = an_id(allow_none=True, load_default=None)
    first_day = a_day(required=True)
    last_day = a_day(required=True)

    @validates_schema
    def days_in_order(self, data: dict, **_: object) -> None:
        if data["first_day"] > data["last_day"]:
            raise ValidationError("before first_day", "last_day")


class NamedOut(Out):
    member_id = fields.Integer()
    points = fields.Integer()


class SideOut(Out):
    members = fields.Integer()
    most = fields.List(fields.Nested(NamedOut))


class TierMovesOut(Out):
    up = fields.Integer()
    down = fields.Integer()


class BackTestOut(Out):
    receipts = fields.Integer()
    members = fields.Integer()
    points_before = fields.Integer()
    points_after = fields.Integer()
    cost_fen = fields.Integer()
    rules_before = fields.Dict(keys=fields.String(), values=fields.Integer())
    rules_after = fields.Dict(keys=fields.String(), values=fields.Integer())
    winners = fields.Nested(SideOut)
    losers = fields.Nested(SideOut)
    tiers = fields.Nested(TierMovesOut)


@bp.post("/earning-rules/back-tests")
@idempotent
@bp.arguments(BackTestBody())
@bp.response(200, BackTestOut())
def back_test(body: dict, *, key):
    """Play the shop's own receipts again under drafts: points, cost, who wins and loses, tiers."""
    days, rule_id = (body["first_day"], body["last_day"]), body["tier_rule_id"]
    asked = earning.back_test(
        body["draft_ids"], *days, tier_rule_id=rule_id, key=key, now=clock.now()
    )
    return reply(asked)
