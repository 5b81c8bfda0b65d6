"""The sandbox answers in WeChat's documented shapes and with its error numbers."""

import base64

import pytest

from blueprints.sandbox import APPID, SECRET, create_app
from blueprints.sandbox.tokens import EXPIRED, LASTS_S, MISSING, OK, OVERLAP_S, UNKNOWN, Tokens

OURS = {"appid": APPID, "secret": SECRET}
STABLE = OURS | {"grant_type": "client_credential"}


class Clock:
    def __init__(self):
        self.s = 1_000_000.0

    def __call__(self):
        return self.s


@pytest.fixture
def client():
    return create_app().test_client()


@pytest.fixture
def log_in(client):
    def ask(code, **changed):
        query = OURS | {"grant_type": "authorization_code", "js_code": code} | changed
        return client.get("/sns/jscode2session", query_string=query).json

    return ask


@pytest.fixture
def token(client):
    return client.get("/cgi-bin/token", query_string=STABLE).json["access_token"]


@pytest.fixture
def post(client, token):
    def ask(path, body, access_token=token):
        return client.post(path, query_string={"access_token": access_token}, json=body)

    return ask


# logging in


def test_a_login_code_names_its_user(log_in):
    first, again = log_in("sandbox-小明"), log_in("sandbox-小明")

    assert set(first) == {"openid", "session_key", "unionid"}
    assert len(first["openid"]) == 28 and first["openid"].startswith("o")
    assert len(base64.b64decode(first["session_key"])) == 16
    assert (first["openid"], first["unionid"]) == (again["openid"], again["unionid"])
    assert log_in("sandbox-other")["openid"] != first["openid"]


def test_a_user_has_another_openid_but_the_same_unionid_in_another_app(log_in):
    other = create_app(appid="wxother").test_client()
    query = {"appid": "wxother", "secret": SECRET, "grant_type": "authorization_code"}

    there = other.get("/sns/jscode2session", query_string=query | {"js_code": "sandbox-a"}).json

    assert there["openid"] != log_in("sandbox-a")["openid"]
    assert there["unionid"] == log_in("sandbox-a")["unionid"]


@pytest.mark.parametrize("code", ["nobody", "sandbox-", "sandbox-a b", "sandbox-phone-13800138000"])
def test_any_other_login_code_is_invalid(log_in, code):
    assert log_in(code)["errcode"] == 40029


@pytest.mark.parametrize("errcode", [-1, 40226, 45011, 12345])
def test_a_code_can_ask_for_an_error(log_in, errcode):
    answer = log_in(f"sandbox-error-{errcode}")

    assert answer["errcode"] == errcode and answer["errmsg"]


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"appid": "wxwrong"}, 40013),
        ({"secret": ""}, 41004),
        ({"secret": "wrong"}, 40125),
        ({"grant_type": "wrong"}, 40002),
        ({"js_code": ""}, 41008),
    ],
)
def test_a_login_call_is_refused_by_its_documented_number(log_in, changed, errcode):
    assert log_in("sandbox-a", **changed)["errcode"] == errcode


# access tokens


def test_each_token_call_answers_a_new_token(client, token):
    answer = client.get("/cgi-bin/token", query_string=STABLE).json

    assert answer["expires_in"] == 7200 and answer["access_token"] != token


def test_the_stable_token_stays_until_it_is_forced(client):
    ask = lambda **extra: client.post("/cgi-bin/stable_token", json=STABLE | extra).json  # noqa: E731
    first = ask()["access_token"]

    assert ask()["access_token"] == first
    assert ask(force_refresh=True)["access_token"] != first


@pytest.mark.parametrize(("name", "errcode"), [("appid", 40013), ("secret", 40125)])
def test_a_token_is_only_for_the_one_app(client, name, errcode):
    wrong = STABLE | {name: "wrong"}

    assert client.get("/cgi-bin/token", query_string=wrong).json["errcode"] == errcode
    assert client.post("/cgi-bin/stable_token", json=wrong).json["errcode"] == errcode


def test_the_token_before_the_newest_is_good_for_five_minutes_more():
    clock = Clock()
    tokens = Tokens(now=clock)
    old, new = tokens.issue()[0], tokens.issue()[0]

    clock.s += OVERLAP_S - 1
    assert tokens.judge(old) == tokens.judge(new) == OK
    clock.s += 1
    assert (tokens.judge(old), tokens.judge(new)) == (EXPIRED, OK)
    assert (tokens.judge("another"), tokens.judge("")) == (UNKNOWN, MISSING)


def test_a_stable_token_is_replaced_near_its_end_and_its_seconds_count_down():
    clock = Clock()
    tokens = Tokens(now=clock)
    first = tokens.stable(force=False)[0]

    clock.s += 1000
    assert tokens.stable(force=False) == (first, LASTS_S - 1000)
    clock.s += LASTS_S - 1000 - OVERLAP_S
    assert tokens.stable(force=False)[0] != first
    assert tokens.judge(first) == OK


def test_a_forced_stable_token_ends_the_one_before_at_once():
    tokens = Tokens()
    first, forced = tokens.stable(force=False)[0], tokens.stable(force=True)[0]

    assert (tokens.judge(first), tokens.judge(forced)) == (EXPIRED, OK)


def test_tokens_outlive_a_restart_in_their_folder(tmp_path):
    kept = Tokens(tmp_path / "new" / "tokens.json").issue()[0]

    assert Tokens(tmp_path / "new" / "tokens.json").judge(kept) == OK


# phone numbers


def test_a_phone_code_is_its_number(post):
    answer = post("/wxa/business/getuserphonenumber", {"code": "sandbox-phone-13800138000"}).json

    info = answer["phone_info"]
    assert answer["errcode"] == 0
    assert info["phoneNumber"] == info["purePhoneNumber"] == "13800138000"
    assert info["countryCode"] == "86" and info["watermark"]["appid"] == APPID


def test_a_phone_code_may_name_its_country(post):
    answer = post("/wxa/business/getuserphonenumber", {"code": "sandbox-phone-852-61234567"}).json

    assert answer["phone_info"]["phoneNumber"] == "+85261234567"
    assert answer["phone_info"]["purePhoneNumber"] == "61234567"


@pytest.mark.parametrize("code", ["sandbox-a", "sandbox-phone-", "sandbox-phone-x", ""])
def test_any_other_phone_code_is_invalid(post, code):
    assert post("/wxa/business/getuserphonenumber", {"code": code}).json["errcode"] == 40029


@pytest.mark.parametrize("path", ["/wxa/business/getuserphonenumber", "/wxa/getwxacodeunlimit"])
def test_a_call_needs_a_good_token(post, path):
    assert post(path, {}, access_token="wrong").json["errcode"] == 40001
    assert post(path, {}, access_token="").json["errcode"] == 41001


# pictures


def test_a_picture_is_a_png(post):
    response = post("/wxa/getwxacodeunlimit", {"scene": "s=1", "page": "pages/card/index"})

    assert response.mimetype == "image/png"
    assert response.data.startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, 40169),
        ({"scene": "x" * 33}, 40169),
        ({"scene": 7}, 40169),
        ({"scene": "优惠"}, 40129),
        ({"scene": "a%20b"}, 40129),
        ({"scene": "a", "page": "/pages/card/index"}, 41030),
        ({"scene": "sandbox-error-45009"}, 45009),
        ([], 47001),
    ],
)
def test_a_picture_is_refused_in_json(post, body, errcode):
    response = post("/wxa/getwxacodeunlimit", body)

    assert response.status_code == 200 and response.json["errcode"] == errcode


# everything else


@pytest.mark.parametrize(
    ("method", "path", "errcode"),
    [
        ("get", "/wxa/nothing", 40066),
        ("get", "/wxa/getwxacodeunlimit", 43002),
        ("post", "/sns/jscode2session", 43001),
        ("post", "/cgi-bin/stable_token", 47001),
    ],
)
def test_what_is_no_call_is_told_so_with_status_200(client, method, path, errcode):
    response = getattr(client, method)(path)

    assert response.status_code == 200 and response.json["errcode"] == errcode


def test_the_page_shows_the_latest_calls_and_no_secret(client, log_in):
    session_key = log_in("sandbox-a")["session_key"]
    log_in("nobody")
    client.get("/<script>")

    shown = client.get("/").text

    assert "微信沙箱" in shown and "/sns/jscode2session" in shown and "40029" in shown
    assert "/&lt;script&gt;" in shown and "<script>" not in shown
    assert SECRET not in shown and session_key not in shown


def test_its_health_is_plain(client):
    assert client.get("/healthz").json == {"ok": True}


# misbehaving


def test_a_share_of_calls_misbehaves_the_same_way_each_time():
    def outcomes():
        one = create_app(seed=7).test_client()
        one.post("/sandbox/misbehaviours", json={"how": "error", "errcode": -1, "percent": 30})
        query = STABLE
        return [
            one.get("/cgi-bin/token", query_string=query).json.get("errcode", 0) for _ in range(50)
        ]

    first = outcomes()

    assert first == outcomes() and 5 < first.count(-1) < 25


def test_a_switch_is_for_its_path_and_goes_when_told(client):
    client.post(
        "/sandbox/misbehaviours", json={"path": "/cgi-bin/token", "how": "error", "errcode": 45009}
    )

    assert client.get("/cgi-bin/token", query_string=STABLE).json["errcode"] == 45009
    assert client.get("/sandbox/misbehaviours").json["struck"] == {"error": 1}
    client.delete("/sandbox/misbehaviours")
    assert "access_token" in client.get("/cgi-bin/token", query_string=STABLE).json


@pytest.mark.parametrize("body", [{"how": "sing"}, {"how": "cut", "why": 1}, []])
def test_a_switch_that_means_nothing_is_refused(client, body):
    assert client.post("/sandbox/misbehaviours", json=body).json["errcode"] == 47001


def test_the_page_shows_what_was_delivered_and_what_goes_wrong(client, log_in, post):
    openid = log_in("sandbox-小明")["openid"]
    client.post("/sandbox/consents", json={"user": "小明", "template_id": "sandbox-t"})
    data = {"thing1": {"value": "<b>签到</b>"}}
    sent = post(
        "/cgi-bin/message/subscribe/send",
        {"touser": openid, "template_id": "sandbox-t", "data": data},
    )
    client.post("/sandbox/misbehaviours", json={"how": "slow", "percent": 10})

    page = client.get("/").get_data(as_text=True)

    assert sent.json["errcode"] == 0
    assert "小明" in page and "&lt;b&gt;签到" in page and "<td>slow<td>10%" in page
