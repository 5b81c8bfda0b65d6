"""Who asks: a token to a member, a clerk or an admin; and the two ways to get one."""

from flask import current_app, g, request
from marshmallow import fields, validate

from blueprints import paces
from blueprints.audited import leave
from blueprints.contract import Blueprint, Body, Out, idempotent, reply, text
from blueprints.shapes import ProfileOut, StoreOut
from mall import clock, closed, gates, login, staff, tokens
from mall.errors import TooManyLogins, Unauthenticated, WrongAudience
from mall.guards import pace
from mall.staff import OFFICE_ROLES, READING_ROLES, TILL_ROLES
from mall.wechat import WeChat

OPEN_TO_CLOSED = ("shopper.privacy.close_account",)  # asked again, it answers the same

bp = Blueprint("auth", __name__, url_prefix="/api/v1/auth", description="Log in")


@bp.before_request
def not_too_fast() -> None:
    """Nobody may log in faster than a busy mall behind one address does."""
    paces.check_address(pace.LOG_IN)


def token_sent() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated()
    return token.strip()


def shopper_only() -> None:
    """Let shoppers in; g.member_id says who."""
    token = token_sent()
    if not token.startswith(tokens.SHOPPER_PREFIX):
        staff.of_token(token, now=clock.now())
        raise WrongAudience()
    g.member_id = tokens.shopper_of(token, now=clock.now())
    if request.endpoint not in OPEN_TO_CLOSED:
        closed.check_session(g.member_id, now=clock.now())
    g.caller = gates.caller_of(g.member_id)
    paces.check(g.caller, pace.MEMBER)


def clerks_only() -> None:
    """Let those in who stand at a store's till; g.staff says who."""
    staff_only()
    if g.staff.role not in TILL_ROLES:
        raise WrongAudience()
    staff.check_ready(g.staff)


def admins_only() -> None:
    """Let those in who run the mall; an analyst may look."""
    staff_only()
    reads = request.method in ("GET", "HEAD") and g.staff.role in READING_ROLES
    if g.staff.role not in OFFICE_ROLES and not reads:
        raise WrongAudience()
    staff.check_ready(g.staff)


def staff_only() -> None:
    """Let staff of any role in; g.staff says who."""
    token = token_sent()
    if token.startswith(tokens.SHOPPER_PREFIX):
        tokens.shopper_of(token, now=clock.now())
        raise WrongAudience()
    g.staff = staff.of_token(token, now=clock.now())
    g.caller = f"staff:{g.staff.id}"
    paces.check(g.caller, pace.STAFF)


def wechat() -> WeChat:
    client: WeChat = current_app.extensions["wechat"]
    return client


class WeChatLogin(Body):
    code = text(1, 128, required=True)
    invite_code = text(1, 32)
    channel_code = text(1, 32)
    device = text(8, 64)


class InvitationOut(Out):
    """What came of an invitation, in both languages: the answer may be told again to another."""

    state = fields.String(validate=validate.OneOf(["bound", "refused"]))
    reason = fields.String()
    says = fields.String()
    says_en = fields.String()
    next_step = fields.String()
    next_step_en = fields.String()


class StoreGiftOut(Out):
    """What a store's code gave at joining: `given`, or why not."""

    state = fields.String()
    name = fields.String()
    points = fields.Integer()
    units = fields.Integer()


class ShopperSession(Out):
    access_token = fields.String()
    expires_in_s = fields.Integer()
    joined = fields.Boolean()
    invitation = fields.Nested(InvitationOut, allow_none=True)
    gift = fields.Nested(StoreGiftOut, allow_none=True)
    member = fields.Nested(ProfileOut)


@bp.post("/wechat")
@idempotent(required=False, sealed=True)
@bp.arguments(WeChatLogin())
@bp.response(200, ShopperSession())
@bp.alt_response(401, "UNAUTHORIZED")
@bp.alt_response(403, "FORBIDDEN")
@bp.doc(security=[])
def log_in_with_wechat(body: dict, *, key):
    """Log in with a code of wx.login; the first time this joins.

    `device` is a token that the mini-program makes once and keeps. Invite code and channel count at
    joining only; one that brings nothing keeps nobody out, and is told.
    """
    who = wechat().log_in(body.pop("code"))
    address = request.remote_addr
    return reply(login.log_in(who, **body, address=address, key=key, now=clock.now()))


class StaffLogin(Body):
    username = text(1, 32, required=True)
    password = fields.String(required=True, validate=validate.Length(1, 128))
    otp = fields.String(validate=validate.Length(1, 16))


class StaffSession(Out):
    access_token = fields.String()
    expires_in_s = fields.Integer()
    role = fields.String(validate=validate.OneOf(staff.ROLES))
    store = fields.Nested(StoreOut, allow_none=True)


@bp.post("/staff")
@idempotent(required=False, sealed=True)
@bp.arguments(StaffLogin())
@bp.response(200, StaffSession())
@bp.alt_response(401, "UNAUTHORIZED")
@bp.doc(security=[])
def log_in_as_staff(body: dict, *, key):
    """Log in at a till or in the console; with `otp` where a second factor is enrolled."""
    username = body["username"]
    try:
        answer = staff.log_in(**body, key=key, now=clock.now())
    except (Unauthenticated, TooManyLogins) as refusal:
        _note_log_in(username, refusal.code)
        raise
    _note_log_in(username, None)
    return reply(answer)


def _note_log_in(username: str, refused: str | None) -> None:
    """Note who came in and who was turned away; a name nobody has may be a password."""
    who = staff.id_of(username)
    actor = f"staff:{who}" if who else "unknown"
    action = "staff.log_in" if refused is None else "staff.log_in_refused"
    leave(action, {"refused": refused}, actor=actor, subject=who or "")
