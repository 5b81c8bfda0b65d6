"""Members, found by phone tail, card number or nickname; and everything about one."""

from typing import Any

import sqlalchemy as sa
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Out, moment
from blueprints.entries import EntryOut, explained
from blueprints.pages import PageArgs, page, page_of
from blueprints.shapes import AssetsOut, MarkOut, OwnVoucherOut, ProfileOut, TierOut
from mall import assets, checkins, clock, members, phones, points, profiles, vouchers
from models import Account, LedgerEntry, Lot, Member, Merge, Purchase, Referral, Tier, Voucher, db

RECENT = 20

bp = Blueprint("members", __name__, description="Search, and everything about one")


class MemberArgs(PageArgs):
    q = fields.String(load_default="", validate=validate.Length(max=64))


class MemberOut(Out):
    id = fields.Integer()
    card_no = fields.String()
    nickname = fields.String()
    phone_masked = fields.String(allow_none=True)
    tier = fields.Nested(TierOut)
    points = fields.Integer()
    growth_value = fields.Integer()
    joined_at = moment()


class LotOut(Out):
    id = fields.Integer()
    points_earned = fields.Integer()
    points_left = fields.Integer()
    expires_at = moment(allow_none=True)


class PurchaseSeenOut(Out):
    id = fields.Integer()
    receipt_no = fields.String()
    amount_fen = fields.Integer()
    points_awarded = fields.Integer()
    refunded_fen = fields.Integer()
    paid_at = moment()


class VoucherSeenOut(OwnVoucherOut):
    class Meta:
        exclude = ("code",)


class SignInsOut(Out):
    streak_days = fields.Integer()
    longest_streak_days = fields.Integer()
    marks = fields.List(fields.Nested(MarkOut))


class Member360Out(MemberOut):
    profile = fields.Nested(ProfileOut)
    pending_points = fields.Integer()
    held_points = fields.Integer()
    debt_points = fields.Integer()
    assets = fields.Nested(AssetsOut)
    account_state = fields.String(validate=validate.OneOf(["open", "frozen", "closed"]))
    channel_code = fields.String(allow_none=True)
    invited_by = fields.Integer(allow_none=True)
    merged_into = fields.Integer(allow_none=True)
    merged_from = fields.List(fields.Integer())
    lots = fields.List(fields.Nested(LotOut))
    entries = fields.List(fields.Nested(EntryOut))
    purchases = fields.List(fields.Nested(PurchaseSeenOut))
    vouchers = fields.List(fields.Nested(VoucherSeenOut))
    checkins = fields.Nested(SignInsOut)


def row(member: Member) -> dict[str, Any]:
    account = db.session.get_one(Account, member.id)
    return {
        "id": member.id,
        "card_no": member.card_no,
        "nickname": member.nickname,
        "phone_masked": phones.masked(member),
        "tier": db.session.get_one(Tier, account.tier_code),
        "points": account.balance_points - points.due_points(member.id, now=clock.now()),
        "growth_value": account.growth_value,
        "joined_at": clock.rfc3339(member.joined_at),
    }


@bp.get("/members")
@bp.arguments(MemberArgs(), location="query")
@bp.response(200, page_of(MemberOut, "MemberPage")())
def list_members(args: dict):
    """Members by the end of a phone number, a card number, an external id or a nickname's start."""
    query = sa.select(Member)
    if sought := args["q"].strip():
        starts = Member.nickname.startswith(sought, autoescape=True)
        named = [Member.card_no == sought, Member.external_id == sought, starts]
        if sought.isdecimal() and len(sought) >= 4:
            named.append(Member.id.in_(phones.ending_in(sought)))
        holders = (
            sa.select(members.held_by()).select_from(Member).outerjoin(Merge, members.merged())
        )
        query = query.where(Member.id.in_(holders.where(sa.or_(*named))))
    else:
        query = query.where(~sa.exists().where(members.merged()))
    return page(query, Member.id, row, args)


@bp.get("/members/<id:member_id>")
@bp.response(200, Member360Out())
def show_member(member_id: int):
    """Everything about a member on one page."""
    member = members.find(member_id)
    account = db.session.get_one(Account, member_id)
    invited_by = sa.select(Referral.inviter_id).where(Referral.invitee_id == member_id)
    return {
        **row(member),
        "profile": profiles.view(member),
        "pending_points": account.pending_points,
        "held_points": account.held_points,
        "debt_points": account.debt_points,
        "assets": assets.assets(member_id, now=clock.now()),
        "account_state": account.state,
        "channel_code": member.channel_code,
        "invited_by": db.session.scalar(invited_by),
        "merged_into": db.session.scalar(
            sa.select(Merge.holder_id).where(Merge.from_member_id == member_id)
        ),
        "merged_from": list(
            db.session.scalars(sa.select(Merge.from_member_id).where(Merge.holder_id == member_id))
        ),
        "lots": [_lot(lot) for lot in _recent(Lot, Lot.points_left > 0, member_id)],
        "entries": explained(_recent(LedgerEntry, sa.true(), member_id)),
        "purchases": [_purchase(each) for each in _recent(Purchase, sa.true(), member_id)],
        "vouchers": [
            vouchers.view(voucher, now=clock.now())
            for voucher in _recent(Voucher, sa.true(), member_id)
        ],
        "checkins": checkins.recent(member_id, now=clock.now()),
    }


def _recent(model: Any, condition: Any, member_id: int) -> list[Any]:
    query = sa.select(model).where(model.member_id == member_id, condition)
    return list(db.session.scalars(query.order_by(model.id.desc()).limit(RECENT)))


def _lot(lot: Lot) -> dict[str, Any]:
    return {
        "id": lot.id,
        "points_earned": lot.points_earned,
        "points_left": lot.points_left,
        "expires_at": clock.rfc3339(lot.expires_at) if lot.expires_at else None,
    }


def _purchase(purchase: Purchase) -> dict[str, Any]:
    return {
        "id": purchase.id,
        "receipt_no": purchase.undone_receipt_no or purchase.receipt_no,
        "amount_fen": purchase.amount_fen,
        "points_awarded": purchase.points_awarded,
        "refunded_fen": purchase.refunded_fen,
        "paid_at": clock.rfc3339(purchase.paid_at),
    }
