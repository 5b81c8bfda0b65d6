"""The sandbox's own page: what it is, which codes it knows, and the calls it has lately had."""

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, current_app, render_template_string, request

from .errors import MEANINGS

SHOWN_CALLS = 50
SHOWN_PATH_CHARACTERS = 80
OWN_PATHS = ("/", "/healthz", "/favicon.ico")
OWN = "/sandbox/"

bp = Blueprint("page", __name__)

PAGE = """<!doctype html>
<html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>微信沙箱</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}
td,th{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}code{background:#8882}</style>
<h1>微信沙箱</h1>
<p>本服务在本机模拟微信的服务端接口，仅供开发和演示，不连接微信。AppID：<code>{{ appid }}</code></p>
<p lang="en">This service stands in for WeChat's server on this machine, for development only.</p>
<h2>可用的 code</h2>
<table>
<tr><td><code>sandbox-&lt;名字&gt;</code><td>登录为该用户，可重复使用<br><span lang="en">logs in as that user</span>
<tr><td><code>sandbox-phone-&lt;数字&gt;</code><td>该手机号；境外号码写作 <code>sandbox-phone-852-61234567</code>
<br><span lang="en">stands for that phone number</span>
<tr><td><code>sandbox-error-&lt;错误码&gt;</code><td>返回该错误码；登录、手机号和小程序码的 scene 都认
<br><span lang="en">answers with that error</span>
</table>
<h2>已送达的消息</h2>
{% if delivered %}<table><tr><th>时间<th>用户<th>模板<th>内容
{% for each in delivered %}<tr><td>{{ each.at.strftime("%H:%M:%S") }}<td>{{ each.user }}<td>{{ each.template_id }}
<td>{% for name, value in each.data.items() %}{{ name }}：{{ value.value }}<br>{% endfor %}
{% endfor %}</table>{% else %}<p>还没有送达任何消息。用户每同意一次，才能送达一条：
<code>POST /sandbox/consents {"user": "xiaoming", "template_id": "..."}</code></p>{% endif %}
{% if switches %}<h2>正在故意出错</h2><table><tr><th>接口<th>方式<th>比例
{% for each in switches %}<tr><td>{{ each.path }}<td>{{ each.how }}<td>{{ each.percent }}%
{% endfor %}</table>{% endif %}
<h2>最近的调用</h2>
{% if calls %}<table><tr><th>时间<th>接口<th>结果
{% for call in calls %}<tr><td>{{ call.at.strftime("%H:%M:%S") }}<td>{{ call.path }}<td>{{ call.outcome }}
{% endfor %}</table>{% else %}<p>还没有收到调用。</p>{% endif %}
</html>
"""


@dataclass(frozen=True)
class Call:
    """A call as the page shows it: no query and no body, which hold secrets and codes."""

    at: datetime
    path: str
    outcome: str


class Seen:
    """The latest calls, newest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=SHOWN_CALLS)

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.appendleft(call)

    def latest(self) -> list[Call]:
        with self._lock:
            return list(self._calls)


@bp.after_app_request
def remember(response: Response) -> Response:
    """Note the call for the page."""
    if request.path not in OWN_PATHS and not request.path.startswith(OWN):
        path = request.path[:SHOWN_PATH_CHARACTERS]
        call = Call(datetime.now().astimezone(), path, outcome(response))
        current_app.extensions["seen"].add(call)
    return response


def outcome(response: Response) -> str:
    answer = response.get_json(silent=True) if response.is_json else None
    errcode = answer.get("errcode", 0) if isinstance(answer, dict) else 0
    return f"{errcode} {MEANINGS.get(errcode, '')}".strip() if errcode else "成功"


@bp.get("/")
def page() -> str:
    """What this is, for whoever opens its address."""
    seen: Seen = current_app.extensions["seen"]
    return render_template_string(
        PAGE,
        appid=current_app.config["APPID"],
        calls=seen.latest(),
        delivered=list(current_app.extensions["users"].delivered),
        switches=current_app.extensions["misbehaviours"].switches,
    )


@bp.get("/healthz")
def healthz() -> dict[str, bool]:
    return {"ok": True}
