"""X27: WeChat that errs, hangs, drips, cuts and repeats itself; the sandbox plays it, over a real wire."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from mall.errors import (
    MessageUnfit,
    SubscriptionRefused,
    TextUnchecked,
    TooMany,
    WeChatCodeInvalid,
    WeChatUnavailable,
)
from mall.wechat import COMMENT, NICKNAME, SANDBOX_APPID, SANDBOX_SECRET, WeChat, wire
from models import Member
from tests.mall.books import count

ROOT = Path(__file__).parents[2]
TEMPLATE = "sandbox-template-1"
DATA = {"thing1": "签到提醒", "time2": "2026-11-24 09:00"}


@pytest.fixture(scope="module")
def address():
    command = [sys.executable, "-m", "blueprints.sandbox", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield next(line for line in process.stdout if "http://" in line).strip()
        process.terminate()


@pytest.fixture
def sandbox(address):
    """Talk to the sandbox itself: `sandbox(path, body)`."""

    def tell(path, body=None, method="post"):
        answer = requests.request(method, f"{address}/sandbox/{path}", json=body, timeout=5)
        return answer.json()

    tell("misbehaviours", method="delete")
    tell("settings", {"single_use": False})
    yield tell
    tell("misbehaviours", method="delete")
    tell("settings", {"single_use": False})


@pytest.fixture
def ours(address):
    return WeChat(appid=SANDBOX_APPID, secret=SANDBOX_SECRET, api_url=address)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.4)


def took(call):
    began = time.monotonic()
    with pytest.raises(WeChatUnavailable):
        call()
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["hang", "cut", "lose", "garbage", "error"])
def test_x27_however_it_fails_the_caller_is_told_in_time(ours, sandbox, impatient, how):
    sandbox("misbehaviours", {"how": how, "seconds": 3})

    assert took(lambda: ours.log_in("sandbox-a")) < 1
    assert took(lambda: ours.phone("sandbox-phone-1380")) < 1


def test_x27_a_slow_answer_is_waited_for(ours, sandbox):
    sandbox("misbehaviours", {"path": "/sns/jscode2session", "how": "slow", "seconds": 0.3})

    assert ours.log_in("sandbox-a").openid


def test_x27_a_token_and_a_call_have_their_time_together(ours, sandbox, impatient):
    sandbox("misbehaviours", {"how": "slow", "seconds": 0.3})

    assert took(lambda: ours.phone("sandbox-phone-1380")) < 0.7


def test_x27_an_answer_that_comes_in_drops_is_given_up_in_time(impatient):
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            link, _ = server.accept()
            with link:
                link.recv(65_536)
                link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                for _ in range(60):
                    try:
                        link.sendall(b"x")
                    except OSError:
                        return
                    threading.Event().wait(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        port = server.getsockname()[1]
        slow = WeChat(appid="a", secret="b", api_url=f"http://127.0.0.1:{port}")
        assert took(lambda: slow.log_in("x")) < 1
        thread.join()


def test_x27_after_five_in_a_row_nobody_waits_until_one_asks_whether_it_is_back(
    ours, sandbox, impatient, monkeypatch
):
    sandbox("misbehaviours", {"how": "hang", "seconds": 1})
    for _ in range(wire.FAILURES):
        assert took(lambda: ours.log_in("sandbox-a")) >= 0.4

    assert took(lambda: ours.log_in("sandbox-a")) < 0.1
    sandbox("misbehaviours", method="delete")
    monkeypatch.setattr(ours._client._http.adapters["https://"].breaker, "_open_until", 0.0)
    assert ours.log_in("sandbox-a").openid and ours.log_in("sandbox-b").openid


def test_x27_busy_once_is_asked_again_and_busy_twice_is_told(ours, sandbox):
    busy = {"path": "/sns/jscode2session", "how": "error", "errcode": -1}
    sandbox("misbehaviours", {**busy, "times": 1})
    assert ours.log_in("sandbox-a").openid

    sandbox("misbehaviours", {**busy, "times": 2})
    with pytest.raises(WeChatUnavailable):
        ours.log_in("sandbox-a")


def test_x27_what_is_refused_is_not_asked_again(ours, sandbox):
    sandbox("misbehaviours", {"how": "error", "errcode": 45011, "times": 1})

    with pytest.raises(TooMany):
        ours.log_in("sandbox-a")


def test_x27_a_code_is_good_once_where_wechat_says_so(ours, sandbox):
    sandbox("settings", {"single_use": True})
    assert ours.log_in("sandbox-once").openid

    with pytest.raises(WeChatCodeInvalid):
        ours.log_in("sandbox-once")


def test_x27_a_quota_of_calls_ends(ours, sandbox):
    sandbox("misbehaviours", {"path": "/sns/jscode2session", "how": "quota", "per_minute": 2})
    for _ in range(2):
        ours.log_in("sandbox-a")

    with pytest.raises(TooMany):
        ours.log_in("sandbox-a")


# subscribe messages, the content check, links


def test_a_subscribe_message_uses_one_consent_up(ours, sandbox):
    openid = ours.log_in("sandbox-reader").openid
    with pytest.raises(SubscriptionRefused):
        ours.send(openid, TEMPLATE, DATA)
    sandbox("consents", {"user": "reader", "template_id": TEMPLATE})

    ours.send(openid, TEMPLATE, DATA, page="pages/card/index")

    with pytest.raises(SubscriptionRefused):
        ours.send(openid, TEMPLATE, DATA)
    (shown,) = sandbox("messages?user=reader", method="get")["items"]
    assert shown["data"]["thing1"]["value"] == "签到提醒" and shown["page"] == "pages/card/index"


@pytest.mark.parametrize(
    ("template", "data"),
    [
        ("x", DATA),
        (TEMPLATE, {"thing1": "长" * 21}),
        (TEMPLATE, {"odd": "x"}),
        (TEMPLATE, {"thing1": ""}),
    ],
)
def test_a_message_that_can_never_be_sent_is_told_apart(ours, sandbox, template, data):
    openid = ours.log_in("sandbox-reader").openid
    sandbox("consents", {"user": "reader", "template_id": template})

    with pytest.raises(MessageUnfit):
        ours.send(openid, template, data)


def test_a_user_of_another_mini_program_is_nobody_here(ours):
    with pytest.raises(MessageUnfit):
        ours.send("o-nobody", TEMPLATE, DATA)


@pytest.mark.parametrize(
    ("text", "fit"), [("小满", True), ("违规内容", False), ("sandbox-review", False)]
)
def test_a_text_is_fit_where_wechat_suggests_to_let_it_pass(ours, text, fit):
    openid = ours.log_in("sandbox-writer").openid

    assert ours.is_fit(openid, text, scene=NICKNAME) is fit


def test_a_user_who_was_not_here_of_late_can_not_be_checked(ours, sandbox):
    openid = ours.log_in("sandbox-writer").openid
    sandbox("misbehaviours", {"path": "/wxa/msg_sec_check", "how": "error", "errcode": 61010})

    with pytest.raises(TextUnchecked):
        ours.is_fit(openid, "小满", scene=COMMENT)


def test_a_link_opens_the_mini_program(ours):
    assert ours.link("pages/card/index", "c=1", lasts_days=30).startswith("https://")
    with pytest.raises(WeChatUnavailable):
        ours.link("/pages/card/index?x=1", "", lasts_days=30)


# what the one who asked is told


@pytest.fixture
def real(app, ours, monkeypatch):
    """The shop with WeChat's sandbox at the other end instead of a fake."""
    monkeypatch.setitem(app.extensions, "wechat", ours)
    return ours


@pytest.mark.parametrize(
    ("switch", "status", "code"),
    [
        ({"how": "error", "errcode": 40163}, 401, "wechat_code_invalid"),
        ({"how": "error", "errcode": 45011}, 429, "too_many_requests"),
        ({"how": "error", "errcode": 40226}, 403, "wechat_risk_user"),
        ({"how": "error", "errcode": -1}, 503, "wechat_unavailable"),
        ({"how": "hang", "seconds": 10}, 503, "wechat_unavailable"),
        ({"how": "lose"}, 503, "wechat_unavailable"),
    ],
)
def test_x27_a_shopper_is_told_what_happened_and_has_not_joined(
    real, sandbox, anybody, app, switch, status, code
):
    sandbox("misbehaviours", switch)
    began = time.monotonic()

    answer = anybody.post("/auth/wechat", {"code": "sandbox-newcomer"}, key=None)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert time.monotonic() - began < 3.5 and count(Member) == 0
    assert ("Retry-After" in answer.headers) == (status in (429, 503))
    sandbox("misbehaviours", method="delete")
    assert anybody.post("/auth/wechat", {"code": "sandbox-newcomer"}, key=None).json["joined"]


def test_x27_the_session_key_is_in_no_answer_and_no_log(real, sandbox, anybody, caplog):
    caplog.set_level("DEBUG")

    answer = anybody.post("/auth/wechat", {"code": "sandbox-newcomer"}, key=None)

    told = answer.get_data(as_text=True) + str(answer.headers) + caplog.text
    assert answer.status_code == 200
    assert "session_key" not in told and SANDBOX_SECRET not in told
