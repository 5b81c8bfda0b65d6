"""Answers that more than one audience is given."""

from marshmallow import fields, validate

from blueprints.contract import Out, business_day, moment


class ProfileOut(Out):
    id = fields.Integer()
    card_no = fields.String()
    nickname = fields.String()
    gender = fields.String(validate=validate.OneOf(["unknown", "male", "female"]))
    birthday = fields.String(allow_none=True, metadata={"format": "date"})
    phone_masked = fields.String(allow_none=True)
    city = fields.String()
    joined_at = moment()
    completeness_percent = fields.Integer()


class TierOut(Out):
    code = fields.String()
    name = fields.String()


class MarkOut(Out):
    """A day of the sign-in calendar: signed, made up, or kept by the shop after an outage."""

    day = business_day()
    kind = fields.String(validate=validate.OneOf(["normal", "make_up", "outage"]))


class StoreOut(Out):
    id = fields.Integer()
    code = fields.String()
    name = fields.String()


class VoucherOut(Out):
    id = fields.Integer()
    title = fields.String()
    quantity = fields.Integer()
    state = fields.String(validate=validate.OneOf(["issued", "used", "void", "expired"]))
    expires_at = moment()
    redemption_id = fields.Integer()
    store = fields.String(allow_none=True)
    used_at = moment(allow_none=True)
    used_store = fields.String(allow_none=True)
    used_by = fields.String(allow_none=True)


class OwnVoucherOut(VoucherOut):
    """With the code, for its owner and as long as it can be used."""

    code = fields.String(allow_none=True)


class ExpiringPointsOut(Out):
    points = fields.Integer()
    expires_on = business_day()


class AssetPointsOut(Out):
    """`expiring` are all the points that have a date, by date."""

    available = fields.Integer()
    pending = fields.Integer()
    held = fields.Integer()
    debt = fields.Integer()
    expiring = fields.List(fields.Nested(ExpiringPointsOut))


class AssetGrowthOut(Out):
    value = fields.Integer()
    tier = fields.Nested(TierOut)
    next_tier = fields.Nested(TierOut, allow_none=True)
    to_next = fields.Integer(allow_none=True)


class AssetVouchersOut(Out):
    usable = fields.Integer()
    units = fields.Integer()


class AssetsOut(Out):
    points = fields.Nested(AssetPointsOut)
    growth = fields.Nested(AssetGrowthOut)
    vouchers = fields.Nested(AssetVouchersOut)
