"""My invite code, what inviting brings, and the friends it brought."""

import sqlalchemy as sa
from flask import g, url_for
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Out
from blueprints.errors import language
from blueprints.pages import PageArgs, page, page_of
from mall import members, referrals
from models import Member, Referral, db

bp = Blueprint("referrals", __name__, description="Invite code and invited friends")


class LadderStepOut(Out):
    """A step that is paid once, for so many friends; `missing` is how many more it needs."""

    friends = fields.Integer()
    points = fields.Integer()
    bundle = fields.String()
    paid = fields.Boolean()
    missing = fields.Integer()


class ReferralStageOut(Out):
    inviter_points = fields.Integer()
    inviter_bundle = fields.String()
    friend_points = fields.Integer()
    friend_bundle = fields.String()
    pending_days = fields.Integer()


class ReferralFiguresOut(Out):
    version = fields.Integer()
    join = fields.Nested(ReferralStageOut)
    purchase = fields.Nested(ReferralStageOut)
    min_amount_fen = fields.Integer()
    per_day = fields.Integer(allow_none=True)
    for_life = fields.Integer(allow_none=True)
    attribution_days = fields.Integer()


class ReferralOut(Out):
    invite_code = fields.String()
    wxacode_url = fields.String()
    invited = fields.Integer()
    rewarded = fields.Integer()
    pending = fields.Integer()
    ladder = fields.List(fields.Nested(LadderStepOut))
    rule = fields.Nested(ReferralFiguresOut)


class FriendOut(Out):
    """`says` tells the reason in the caller's language."""

    nickname_masked = fields.String()
    state = fields.String(validate=validate.OneOf(["joined", "qualified", "rewarded", "refused"]))
    reason = fields.String()
    says = fields.String()
    points = fields.Integer()


@bp.get("/me/referral")
@bp.response(200, ReferralOut())
def show_referral():
    """My invite code, its picture, how it has done, and what the rule in force pays."""
    code = members.find(g.member_id).invite_code
    return {
        "invite_code": code,
        "wxacode_url": url_for("public.invitation_picture", invite_code=code),
        **referrals.progress(g.member_id),
    }


def _view(referral: Referral) -> dict:
    friend = db.session.get_one(Member, referral.invitee_id)
    state, reason = referrals.told(referral)
    zh, en = referrals.REASONS[reason]
    return {
        "nickname_masked": members.mask_nickname(friend.nickname),
        "state": state,
        "reason": reason,
        "says": en if language() == "en" else zh,
        "points": referral.points,
    }


@bp.get("/me/referrals")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(FriendOut, "FriendPage")())
def list_friends(args: dict):
    """The friends I invited, newest first."""
    query = sa.select(Referral).where(Referral.inviter_id == g.member_id)
    return page(query, Referral.invitee_id, _view, args)
