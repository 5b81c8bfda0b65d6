"""How a tier and its benefits are shown, to shopper, clerk and admin alike."""

from marshmallow import fields, validate

from blueprints.contract import Body, Out, Pattern, business_day, moment, text, whole
from mall import clock
from models.tier_rules import PERIODS, WINDOWS

MAX_USES = 1000


class QuotaBody(Body):
    code = fields.String(required=True, validate=Pattern(r"^[a-z0-9_-]{1,32}$"))
    name = text(1, 32, required=True)
    uses = whole(1, MAX_USES, required=True)
    period = fields.String(required=True, validate=validate.OneOf(PERIODS))


class QuotaOut(Out):
    code = fields.String()
    name = fields.String()
    uses = fields.Integer()
    period = fields.String(validate=validate.OneOf(PERIODS))


class ContactOut(Out):
    name = fields.String()
    phone = fields.String()
    wechat = fields.String()


class TierPerksOut(Out):
    """A tier with what it is good for; `points_percent` 200 is twice the base points."""

    code = fields.String()
    name = fields.String()
    growth_min = fields.Integer()
    colour = fields.String()
    skin_url = fields.String()
    discount_percent = fields.Integer()
    points_percent = fields.Integer()
    early_access_hours = fields.Integer()
    quotas = fields.List(fields.Nested(QuotaOut))


class ReachedTierOut(TierPerksOut):
    reached = fields.Boolean()


class AdminTierOut(TierPerksOut):
    contact_name = fields.String()
    contact_phone = fields.String()
    contact_wechat = fields.String()
    gift_bundle = fields.String(allow_none=True)
    gift_each_time = fields.Boolean()
    version = fields.Integer()


class CountedGrowthOut(Out):
    value = fields.Integer()
    counted_from = moment(allow_none=True)
    window = fields.String(validate=validate.OneOf(WINDOWS))


class NextTierOut(Out):
    code = fields.String()
    name = fields.String()
    growth_min = fields.Integer()
    need = fields.Integer()


class KeepOut(Out):
    """Until when the tier is kept; `by` is its last day, none for life."""

    by = business_day(allow_none=True)
    growth_min = fields.Integer()
    value = fields.Integer()
    need = fields.Integer()
    in_grace = fields.Boolean()
    granted = fields.Boolean()
    for_life = fields.Boolean()


class TierChangeOut(Out):
    id = fields.Integer()
    tier_before = fields.String()
    tier_after = fields.String()
    reason = fields.String()
    source = fields.String()
    actor = fields.String()
    rule_version = fields.Integer()
    changed_at = moment()


class BenefitOut(Out):
    id = fields.Integer()
    code = fields.String()
    name = fields.String()
    period = fields.String()
    uses_granted = fields.Integer()
    uses_left = fields.Integer()
    expires_at = moment(allow_none=True)


class BenefitUseOut(Out):
    id = fields.Integer()
    member_id = fields.Integer()
    code = fields.String()
    name = fields.String()
    used_at = moment()
    store = fields.String(allow_none=True)
    used_by = fields.String(allow_none=True)
    undone_at = moment(allow_none=True)


def change_view(change) -> dict:
    names = [name for name in TierChangeOut().fields if name != "changed_at"]
    shown = {name: getattr(change, name) for name in names}
    return {**shown, "changed_at": clock.rfc3339(change.changed_at)}
