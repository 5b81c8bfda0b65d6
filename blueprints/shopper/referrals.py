"""My invite code and the friends it brought."""

import sqlalchemy as sa
from flask import g, url_for
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Out
from blueprints.pages import PageArgs, page, page_of
from mall import members
from models import Member, Referral, db

bp = Blueprint("referrals", __name__, description="Invite code and invited friends")


class ReferralOut(Out):
    invite_code = fields.String()
    wxacode_url = fields.String()
    invited = fields.Integer()
    rewarded = fields.Integer()
    pending = fields.Integer()


class FriendOut(Out):
    nickname_masked = fields.String()
    state = fields.String(validate=validate.OneOf(["joined", "qualified", "rewarded", "refused"]))
    reason = fields.String()
    points = fields.Integer()


@bp.get("/me/referral")
@bp.response(200, ReferralOut())
def show_referral():
    """My invite code, its picture, and how it has done."""
    code = members.find(g.member_id).invite_code
    counted = sa.select(Referral.state, sa.func.count()).where(Referral.inviter_id == g.member_id)
    by_state = {state: n for state, n in db.session.execute(counted.group_by(Referral.state))}
    return {
        "invite_code": code,
        "wxacode_url": url_for("public.invitation_picture", invite_code=code),
        "invited": sum(by_state.values()),
        "rewarded": by_state.get("rewarded", 0),
        "pending": by_state.get("qualified", 0),
    }


def _view(referral: Referral) -> dict:
    friend = db.session.get_one(Member, referral.invitee_id)
    return {
        "nickname_masked": members.mask_nickname(friend.nickname),
        "state": referral.state,
        "reason": referral.reason,
        "points": referral.points,
    }


@bp.get("/me/referrals")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(FriendOut, "FriendPage")())
def list_friends(args: dict):
    """The friends I invited, newest first."""
    query = sa.select(Referral).where(Referral.inviter_id == g.member_id)
    return page(query, Referral.invitee_id, _view, args)
