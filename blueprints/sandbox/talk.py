"""Subscribe messages, the content check and links; and the sandbox's own routes about users."""

import re
import secrets
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from .calls import body_of, check_token, raise_if_asked_to
from .errors import Refusal
from .users import Users

LENGTHS = {  # of a value, by the kind its name begins with (WeChat's list of template parameters)
    "thing": 20,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "character_string": 32,
    "time": 32,
    "date": 32,
    "amount": 11,
    "phone_number": 17,
    "car_number": 8,
    "name": 20,
    "phrase": 5,
}
VALUE = re.compile(r"([a-z_]+?)[0-9]+")
TEMPLATE = re.compile(r"[A-Za-z0-9_-]{4,64}")
RISKY, DOUBTFUL = ("违规", "sandbox-risky"), ("存疑", "sandbox-review")
LONGEST_CHECKED = 2500
LONGEST_LINK_DAYS = 30

bp = Blueprint("talk", __name__)


def _users() -> Users:
    users: Users = current_app.extensions["users"]
    return users


@bp.post("/cgi-bin/message/subscribe/send")
def send() -> dict[str, Any]:
    """Deliver a subscribe message; each uses one consent up."""
    check_token()
    body = body_of()
    openid, template_id = str(body.get("touser", "")), str(body.get("template_id", ""))
    raise_if_asked_to(template_id)
    if _users().name(openid) is None:
        raise Refusal(40003)
    if not TEMPLATE.fullmatch(template_id):
        raise Refusal(40037)
    data = body.get("data")
    if not isinstance(data, dict) or not all(_fits(name, each) for name, each in data.items()):
        raise Refusal(47003)
    if not _users().deliver(openid, template_id, str(body.get("page", "")), data):
        raise Refusal(43101)
    return {"errcode": 0, "errmsg": "ok", "msgid": secrets.randbits(48)}


def _fits(name: str, value: Any) -> bool:
    kind = VALUE.fullmatch(name)
    text = value.get("value") if isinstance(value, dict) else None
    if not kind or kind[1] not in LENGTHS or not isinstance(text, str) or not text:
        return False
    return len(text) <= LENGTHS[kind[1]]


@bp.post("/wxa/msg_sec_check")
def check() -> dict[str, Any]:
    """What WeChat thinks of a text: pass, review or risky."""
    check_token()
    body = body_of()
    content, openid = body.get("content"), str(body.get("openid", ""))
    if not isinstance(content, str) or not content or len(content) > LONGEST_CHECKED:
        raise Refusal(47001)
    raise_if_asked_to(content)
    if body.get("version") != 2 or body.get("scene") not in (1, 2, 3, 4):
        raise Refusal(47001)
    if _users().name(openid) is None:
        raise Refusal(40003)
    if not _users().was_here(openid):
        raise Refusal(61010)
    suggest, label = "pass", 100
    if any(word in content for word in RISKY):
        suggest, label = "risky", 20001
    elif any(word in content for word in DOUBTFUL):
        suggest, label = "review", 21000
    result = {"suggest": suggest, "label": label}
    return {"errcode": 0, "errmsg": "ok", "result": result, "trace_id": secrets.token_hex(12)}


@bp.post("/wxa/generate_urllink")
def link() -> dict[str, Any]:
    """An address that opens the mini-program."""
    check_token()
    body = body_of()
    path, query = body.get("path", ""), body.get("query", "")
    if not isinstance(path, str) or path.startswith("/") or "?" in path:
        raise Refusal(40165)
    if not isinstance(query, str) or len(query) > 1024:
        raise Refusal(40212)
    raise_if_asked_to(query)
    days = body.get("expire_interval")
    if (
        body.get("expire_type") != 1
        or not isinstance(days, int)
        or not 1 <= days <= LONGEST_LINK_DAYS
    ):
        raise Refusal(85401)
    return {
        "errcode": 0,
        "errmsg": "ok",
        "url_link": f"https://wxaurl.cn/{secrets.token_urlsafe(8)}",
    }


@bp.post("/sandbox/consents")
def consent() -> Response:
    """A user taps "allow" for a template so many times: `{user, template_id, times}`."""
    body = body_of()
    openid = _users().openid(str(body.get("user", ""))) or str(body.get("openid", ""))
    if _users().name(openid) is None:
        raise Refusal(40003)
    left = _users().consent(openid, str(body.get("template_id", "")), int(body.get("times", 1)))
    return jsonify(left=left)


@bp.get("/sandbox/messages")
def messages() -> Response:
    """What was delivered, newest first; of one `?user=`."""
    user = request.args.get("user")
    shown = [each for each in _users().delivered if user in (None, each.user)]
    return jsonify(
        items=[
            {
                "at": each.at.isoformat(),
                "user": each.user,
                "kind": each.kind,
                "template_id": each.template_id,
                "page": each.page,
                "data": each.data,
            }
            for each in shown
        ]
    )


@bp.post("/sandbox/settings")
def settings() -> Response:
    """`{single_use}`: whether each code is good once, as WeChat's are."""
    _users().single_use = body_of().get("single_use") is True
    return jsonify(single_use=_users().single_use)
