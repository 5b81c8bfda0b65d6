"""Profile and card."""

from datetime import date, datetime

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates

from blueprints.auth import wechat
from blueprints.contract import Blueprint, Body, Out, business_day, idempotent, reply, text
from blueprints.paces import paced
from blueprints.shapes import ProfileOut, TierOut
from mall import clock, codes, members, merges, points, profiles, tiers, vouchers
from mall.guards import pace
from models import Account, Lot, Member, Voucher, db

EARLIEST_BIRTHDAY = date(1900, 1, 1)

bp = Blueprint("profile", __name__, description="Profile, phone and card")


class ProfileBody(Body):
    nickname = text(1, 32)
    gender = fields.String(validate=validate.OneOf(["unknown", "male", "female"]))
    birthday = fields.Date()
    city = text(0, 32)

    @validates("birthday")
    def in_the_past(self, value: date, **_: object) -> None:
        if not EARLIEST_BIRTHDAY <= value <= clock.business_day(clock.now()):
            raise ValidationError("a day of the past")


@bp.get("/me")
@bp.response(200, ProfileOut())
def show_profile():
    """My profile."""
    return profiles.view(members.find(g.member_id))


@bp.patch("/me")
@bp.arguments(ProfileBody())
@bp.response(200, ProfileOut())
def change_profile(body: dict):
    """Change my profile; a birthday can be set once."""
    return profiles.view(profiles.change(g.member_id, body, now=clock.now()))


class PhoneBody(Body):
    code = text(1, 128, required=True)


class PhoneOut(Out):
    phone_masked = fields.String()


@bp.post("/me/phone")
@paced(lambda: pace.PHONE)
@idempotent
@bp.arguments(PhoneBody())
@bp.response(200, PhoneOut())
def bind_phone(body: dict, *, key):
    """Bind the phone number that WeChat's phone button vouches for."""
    phone = wechat().phone(body["code"])
    return reply(merges.bind_phone(g.member_id, phone, key=key, now=clock.now()))


class ExpiringOut(Out):
    points = fields.Integer()
    expires_on = business_day()


class CardPointsOut(Out):
    available = fields.Integer()
    pending = fields.Integer()
    held = fields.Integer()
    debt = fields.Integer()
    expiring = fields.List(fields.Nested(ExpiringOut))


class GrowthOut(Out):
    value = fields.Integer()
    next_tier = fields.Nested(TierOut, allow_none=True)
    to_next = fields.Integer(allow_none=True)


class MemberCodeOut(Out):
    payload = fields.String()
    expires_in_s = fields.Integer()


class CardOut(Out):
    card_no = fields.String()
    nickname = fields.String()
    tier = fields.Nested(TierOut)
    points = fields.Nested(CardPointsOut)
    growth = fields.Nested(GrowthOut)
    vouchers = fields.Integer()
    code = fields.Nested(MemberCodeOut)


@bp.get("/me/card")
@bp.response(200, CardOut())
def show_card():
    """My card, with a fresh code; each call mints another."""
    now = clock.now()
    member, account = _member_and_account()
    payload, expires_in_s = codes.mint(member.card_no, now=now)
    ladder = tiers.ladder()
    return {
        "card_no": member.card_no,
        "nickname": member.nickname,
        "tier": next(tier for tier in ladder if tier.code == account.tier_code),
        "points": _points(account, now),
        "growth": tiers.growth_of(account, now=now),
        "vouchers": _usable_vouchers(now),
        "code": {"payload": payload, "expires_in_s": expires_in_s},
    }


def _member_and_account() -> tuple[Member, Account]:
    query = sa.select(Member, Account).join(Account, Account.member_id == Member.id)
    row = db.session.execute(query.where(Member.id == g.member_id)).one()
    return row[0], row[1]


def _points(account: Account, now: datetime) -> dict:
    lots = db.session.execute(
        sa.select(Lot.expires_at, Lot.points_left).where(
            Lot.member_id == g.member_id, Lot.points_left > 0
        )
    ).all()
    gone = sum(left for expires_at, left in lots if expires_at and expires_at <= now)
    coming = points.expiring((at, left) for at, left in lots if at and at > now)
    return {
        "available": account.balance_points - gone,
        "pending": account.pending_points,
        "held": account.held_points,
        "debt": account.debt_points,
        "expiring": [
            {"points": left, "expires_on": clock.last_day_before(at).isoformat()}
            for at, left in coming
        ],
    }


def _usable_vouchers(now: datetime) -> int:
    usable = vouchers.usable(g.member_id, now=now).with_only_columns(sa.func.count(Voucher.id))
    return db.session.scalar(usable.order_by(None)) or 0
