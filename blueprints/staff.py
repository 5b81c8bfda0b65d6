"""Somebody of the staff and their own account: password, second factor, sessions."""

from flask import g
from marshmallow import fields, validate

from blueprints.audited import audited
from blueprints.auth import staff_only, token_sent
from blueprints.contract import Blueprint, Body, Out, idempotent, reply
from blueprints.shapes import StoreOut
from mall import clock, staff

LONGEST_PASSWORD = 128

bp = Blueprint(
    "own_account", __name__, url_prefix="/api/v1/auth/me", description="One's own staff account"
)
bp.before_request(staff_only)


def a_password(**options: object) -> fields.String:
    return fields.String(validate=validate.Length(1, LONGEST_PASSWORD), **options)


def an_otp(**options: object) -> fields.String:
    return fields.String(validate=validate.Length(1, 16), **options)


class OwnAccountOut(Out):
    """`..._needed` says what must be done before anything else is answered than this account."""

    id = fields.Integer()
    username = fields.String()
    name = fields.String()
    role = fields.String(validate=validate.OneOf(staff.ROLES))
    store = fields.Nested(StoreOut, allow_none=True)
    second_factor = fields.Boolean()
    second_factor_needed = fields.Boolean()
    password_change_needed = fields.Boolean()
    sessions = fields.Integer()


@bp.get("")
@bp.response(200, OwnAccountOut())
def own_account():
    """Who this is, and what they must do first."""
    return staff.own_view(g.staff.id, now=clock.now())


class PasswordBody(Body):
    password = a_password(required=True)
    new_password = a_password(required=True)


@bp.post("/password")
@idempotent(required=False)
@audited("staff.change_password", apart=True)
@bp.arguments(PasswordBody())
@bp.response(200, OwnAccountOut())
def change_password(body: dict, *, key):
    """Take another password. Every other session of the account ends."""
    stamp = {"token": token_sent(), "key": key, "now": clock.now()}
    return reply(staff.change_password(g.staff.id, **body, **stamp))


class ProofBody(Body):
    password = a_password(required=True)


class SecretOut(Out):
    secret = fields.String()
    otpauth_uri = fields.String()


@bp.post("/second-factor")
@idempotent(required=False, sealed=True)
@bp.arguments(ProofBody())
@bp.response(200, SecretOut())
def begin_second_factor(body: dict, *, key):
    """Get a secret for an authenticator app. It counts once a code of it is shown."""
    return reply(staff.begin_second_factor(g.staff.id, body["password"], key=key, now=clock.now()))


class OtpBody(Body):
    otp = an_otp(required=True)


@bp.post("/second-factor/confirmation")
@idempotent(required=False)
@audited("staff.enrol_second_factor", apart=True)
@bp.arguments(OtpBody())
@bp.response(200, OwnAccountOut())
@bp.alt_response(401, "UNAUTHORIZED")
def confirm_second_factor(body: dict, *, key):
    """Show a code of the new secret. From now on each log-in asks for one."""
    stamp = {"token": token_sent(), "key": key, "now": clock.now()}
    return reply(staff.confirm_second_factor(g.staff.id, body["otp"], **stamp))


class RemovalBody(ProofBody):
    otp = an_otp(required=True)


@bp.post("/second-factor/removal")
@idempotent(required=False)
@audited("staff.remove_second_factor", apart=True)
@bp.arguments(RemovalBody())
@bp.response(200, OwnAccountOut())
@bp.alt_response(401, "UNAUTHORIZED")
def remove_second_factor(body: dict, *, key):
    """Do without a second factor, where the shop does not require one."""
    return reply(staff.remove_own_second_factor(g.staff.id, **body, key=key, now=clock.now()))


@bp.delete("/session")
@bp.response(204)
def log_out():
    """End this session."""
    staff.end(token_sent())


@bp.delete("/sessions")
@bp.response(204)
def log_out_elsewhere():
    """End every other session of this account."""
    staff.end_all(g.staff.id, but=token_sent())
