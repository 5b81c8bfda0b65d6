"""What anybody may ask: whether we are well, the docs, the front door, a code's picture."""

import io
from pathlib import Path

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask, Response, abort, current_app, jsonify, request, send_from_directory
from marshmallow import ValidationError, fields, validates_schema

from blueprints import paces
from blueprints.auth import wechat
from blueprints.contract import (
    MAX_BODY_BYTES,
    Blueprint,
    Body,
    Out,
    idempotent,
    moment,
    reply,
    text,
)
from mall import channels, clock, code_images, login, members, privacy, referrals, touches
from mall.errors import NotFound
from mall.guards import pace
from mall.guards.client import reachable
from models import db

STATIC = Path(__file__).parent.parent / "static"
A_DAY_S = 86_400

bp = Blueprint("public", __name__, url_prefix="/api/v1", description="For everybody")


@bp.get("/wxacodes/<string(length=8):invite_code>.png")
@bp.response(200, {"type": "string", "format": "binary"}, content_type="image/png")
@bp.doc(security=[])
def invitation_picture(invite_code: str):
    """The mini-program code of somebody's invitation."""
    if not set(invite_code) <= set(members.INVITE_ALPHABET):
        raise NotFound()
    png = code_images.of_invitation(invite_code, wechat=wechat(), now=clock.now())
    return Response(png, mimetype="image/png", headers={"Cache-Control": f"max-age={A_DAY_S}"})


class PolicySeenOut(Out):
    kind = fields.String()
    version = fields.Integer()
    title_zh = fields.String()
    body_zh = fields.String()
    title_en = fields.String()
    body_en = fields.String()
    published_at = moment()


class PoliciesOut(Out):
    items = fields.List(fields.Nested(PolicySeenOut))
    next_cursor = fields.String(allow_none=True)


@bp.get("/policies")
@bp.response(200, PoliciesOut())
@bp.doc(security=[])
def list_policies_in_force():
    """The shop's policies as they are in force, to be read before anybody joins."""
    items = [privacy.policy_view(each) for each in privacy.in_force()]
    return {"items": items, "next_cursor": None}


class TouchBody(Body):
    """Which link or code was opened, and by whom: a device's token, a code of wx.login, or both."""

    invite_code = text(1, 32)
    channel_code = text(1, 32)
    device = text(8, 64)
    code = text(1, 128)

    @validates_schema
    def one_of_each(self, data: dict, **_: object) -> None:
        if ("invite_code" in data) == ("channel_code" in data):
            raise ValidationError("either this or channel_code", "invite_code")
        if not {"device", "code"} & set(data):
            raise ValidationError("this or code says who opened it", "device")


class TouchOut(Out):
    """For how many days an invitation counts; a channel's first touch counts as long as it is kept."""

    kind = fields.String()
    counts_days = fields.Integer(allow_none=True)


@bp.post("/touches")
@idempotent
@bp.arguments(TouchBody())
@bp.response(200, TouchOut())
@bp.doc(security=[])
def touch(body: dict, *, key):
    """Note that somebody opened a member's link or a channel's code, before they join."""
    paces.check_address(pace.LOG_IN)
    openid = login.identity(wechat().log_in(body["code"])) if "code" in body else None
    visitors, now = touches.marks_of(device=body.get("device"), openid=openid), clock.now()
    if "invite_code" in body:
        return reply(referrals.touch(body["invite_code"], visitors, key=key, now=now))
    return reply(channels.scan(body["channel_code"], visitors, key=key, now=now))


def guard_bodies() -> None:
    """A body sent in chunks names no length: read it here, as far as one may be, before anybody
    takes a part of it for the whole."""
    if request.content_length is None and "wsgi.input_terminated" in request.environ:
        raw = request.environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            abort(413)
        request.environ["wsgi.input"] = io.BytesIO(raw)
        request.environ["CONTENT_LENGTH"] = str(len(raw))


def guard_answers(response: Response) -> Response:
    """Answers of the API are nobody else's to keep, and no answer is to be guessed at."""
    if request.path.startswith("/api/v1") and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    paces.tell(response)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    return response


def add_plain_routes(app: Flask) -> None:
    """Routes outside the contract's base path."""
    app.add_url_rule("/livez", "livez", lambda: jsonify(status="ok"))
    app.add_url_rule("/readyz", "readyz", _ready)
    app.add_url_rule("/", "home", lambda: send_from_directory(STATIC / "home", "index.html"))
    app.add_url_rule("/home/<path:name>", "home_files", _home_file)
    app.add_url_rule("/api/docs", "docs_bare", lambda: _built("docs", "index.html"))
    app.add_url_rule("/api/docs/", "docs", lambda: _built("docs", "index.html"))
    app.add_url_rule("/api/docs/<path:name>", "docs_files", lambda name: _built("docs", name))


def _home_file(name: str) -> Response:
    return send_from_directory(STATIC / "home", name)


def _built(face: str, name: str) -> Response:
    if not (STATIC / "dist" / face).is_dir():
        abort(404)
    return send_from_directory(STATIC / "dist" / face, name)


def _ready() -> tuple[Response, int]:
    """Ready when the database answers and is migrated; Redis only degrades."""
    database = _database_state()
    ready = database == "ok"
    state = {
        "status": "ok" if ready else "unavailable",
        "database": database,
        "redis": "ok" if reachable() else "unreachable",
        "sandbox": current_app.config["SANDBOX"],
        "version": current_app.config["VERSION"],
    }
    return jsonify(state), 200 if ready else 503


def _database_state() -> str:
    try:
        with db.engine.connect() as connection:
            heads = set(MigrationContext.configure(connection).get_current_heads())
    except sa.exc.DBAPIError:
        return "unreachable"
    wanted = current_app.extensions.setdefault("migration_heads", _wanted_heads())
    return "ok" if heads == wanted else "not migrated"


def _wanted_heads() -> set[str]:
    folder = current_app.extensions["migrate"].directory
    return set(ScriptDirectory(folder).get_heads())
