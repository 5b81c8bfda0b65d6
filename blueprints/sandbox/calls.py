"""The calls of WeChat that a mini-program's server makes, with WeChat's shapes and numbers."""

import base64
import hashlib
import io
import re
import secrets
import time
from typing import Any

import segno
from flask import Blueprint, Response, current_app, request
from werkzeug.exceptions import HTTPException

from .errors import Refusal
from .tokens import Tokens
from .users import Users

USER = re.compile(r"sandbox-(\S{1,128})")
PHONE = re.compile(r"sandbox-phone-(?:([0-9]{1,3})-)?([0-9]{1,15})")
ERROR = re.compile(r"sandbox-error-(-?[1-9][0-9]{0,5})")
SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]*")
MAX_SCENE_CHARACTERS = 32
MIN_WIDTH, DEFAULT_WIDTH, MAX_WIDTH = 280, 430, 1280

bp = Blueprint("calls", __name__)


@bp.app_errorhandler(Refusal)
def refused(refusal: Refusal) -> dict[str, Any]:
    return refusal.body()


@bp.app_errorhandler(HTTPException)
def not_a_call(problem: HTTPException) -> dict[str, Any]:
    """No such address, a wrong method, an unreadable body, a bug here; WeChat sends 200 for each."""
    wrong_method = 43002 if request.method in ("GET", "HEAD") else 43001
    numbers = {404: 40066, 405: wrong_method, 500: -1}
    return Refusal(numbers.get(problem.code or 0, 47001)).body()


@bp.get("/cgi-bin/token")
def token() -> dict[str, Any]:
    """A new access token, on every call."""
    _check_app(request.args, grant="client_credential")
    return _token(_tokens().issue())


@bp.post("/cgi-bin/stable_token")
def stable_token() -> dict[str, Any]:
    """The same access token until it nears its end."""
    body = body_of()
    _check_app(body, grant="client_credential")
    return _token(_tokens().stable(force=body.get("force_refresh") is True))


@bp.get("/sns/jscode2session")
def session() -> dict[str, Any]:
    """Who a login code is; the same openid for the same name, a new session key each time."""
    _check_app(request.args, grant="authorization_code")
    code = request.args.get("js_code", "")
    raise_if_asked_to(code)
    user = USER.fullmatch(code)
    if not user or PHONE.fullmatch(code):
        raise Refusal(40029 if code else 41008)
    if _users().used_before(code):
        raise Refusal(40163)
    openid = _derived_id("openid", current_app.config["APPID"], user[1])
    _users().came(openid, user[1])
    return {
        "session_key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "openid": openid,
        "unionid": _derived_id("unionid", user[1]),
    }


@bp.post("/wxa/business/getuserphonenumber")
def phone_number() -> dict[str, Any]:
    """The phone number that a code stands for."""
    check_token()
    code = str(body_of().get("code", ""))
    raise_if_asked_to(code)
    found = PHONE.fullmatch(code)
    if not found:
        raise Refusal(40029)
    if _users().used_before(code):
        raise Refusal(40163)
    country, number = found[1] or "86", found[2]
    info = {
        "phoneNumber": number if country == "86" else f"+{country}{number}",
        "purePhoneNumber": number,
        "countryCode": country,
        "watermark": {"timestamp": int(time.time()), "appid": current_app.config["APPID"]},
    }
    return {"errcode": 0, "errmsg": "ok", "phone_info": info}


@bp.post("/wxa/getwxacodeunlimit")
def code_image() -> Response:
    """A picture that leads to a page; a plain QR code, since only WeChat draws its round ones."""
    check_token()
    body = body_of()
    scene, page = body.get("scene", ""), body.get("page", "")
    if not isinstance(scene, str) or not 1 <= len(scene) <= MAX_SCENE_CHARACTERS:
        raise Refusal(40169)
    raise_if_asked_to(scene)
    if not SCENE.fullmatch(scene):
        raise Refusal(40129)
    if not isinstance(page, str) or page.startswith("/") or "?" in page:
        raise Refusal(41030)
    return Response(_draw(scene, page, body.get("width")), mimetype="image/png")


def _draw(scene: str, page: str, width: object) -> bytes:
    wanted = width if isinstance(width, int) else DEFAULT_WIDTH
    picture = segno.make(f"weixin://sandbox/{page}?scene={scene}", micro=False)
    dots, _ = picture.symbol_size()
    drawn = io.BytesIO()
    picture.save(drawn, kind="png", scale=min(max(wanted, MIN_WIDTH), MAX_WIDTH) // dots or 1)
    return drawn.getvalue()


def body_of() -> dict[str, Any]:
    body = request.get_json(force=True)
    if not isinstance(body, dict):
        raise Refusal(47001)
    return body


def _check_app(fields: Any, *, grant: str) -> None:
    """Refuse anyone but the one mini-program this sandbox is for."""
    for name, missing, wrong in (("appid", 41002, 40013), ("secret", 41004, 40125)):
        if fields.get(name) != current_app.config[name.upper()]:
            raise Refusal(wrong if fields.get(name) else missing)
    if fields.get("grant_type") != grant:
        raise Refusal(40002)


def check_token() -> None:
    if errcode := _tokens().judge(request.args.get("access_token", "")):
        raise Refusal(errcode)


def raise_if_asked_to(code: str) -> None:
    if asked := ERROR.fullmatch(code):
        raise Refusal(int(asked[1]))


def _derived_id(*parts: str) -> str:
    """28 characters that begin with o, the same for the same parts, so nothing needs storing."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return "o" + base64.urlsafe_b64encode(digest).decode()[:27]


def _token(issued: tuple[str, int]) -> dict[str, Any]:
    return {"access_token": issued[0], "expires_in": issued[1]}


def _users() -> Users:
    users: Users = current_app.extensions["users"]
    return users


def _tokens() -> Tokens:
    tokens: Tokens = current_app.extensions["tokens"]
    return tokens
