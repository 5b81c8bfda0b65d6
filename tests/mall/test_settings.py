"""Settings: each has a default, and a wrong value gives one sentence that names it and no secret."""

from pathlib import Path

import pytest

from app import create_app
from mall import keys, settings
from mall.settings import TABLE, WrongSetting, load

SECRET = "s3cr3t-" * 5
RING = f"k1:{SECRET}"


def refusal(**environment):
    with pytest.raises(WrongSetting) as wrong:
        load(environment)
    return str(wrong.value)


def test_without_any_setting_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read = load({})

    assert (read.port, read.host, read.web_workers, read.web_threads) == (8000, "127.0.0.1", 2, 16)
    assert read.data_dir == tmp_path / "var"
    assert read.database_url == f"sqlite:///{tmp_path}/var/mall.db"
    assert read.redis_url == f"unix://{tmp_path}/var/redis.sock" and read.embedded_redis
    assert read.sandbox and read.rate_limits and read.clock_offset_s == 0
    assert (read.shop_timezone, read.trusted_proxies, read.log_level) == (
        "Asia/Shanghai",
        0,
        "info",
    )


def test_the_environment_is_read_where_nothing_else_is_given(monkeypatch):
    monkeypatch.setenv("PORT", "8123")

    assert load().port == 8123


def test_an_empty_value_or_one_of_blanks_is_none(tmp_path):
    read = load({"PORT": "", "WEB_THREADS": "  ", "DATA_DIR": str(tmp_path)})

    assert (read.port, read.web_threads) == (8000, 16)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u@h/db", "postgresql+psycopg://u@h/db"),
        ("postgres://u@h/db", "postgresql+psycopg://u@h/db"),
        ("postgresql+psycopg://u@h/db", "postgresql+psycopg://u@h/db"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
        ("sqlite:///x.db", "sqlite:////data/x.db"),
        ("sqlite:///x y/店.db?timeout=9", "sqlite:////data/x y/店.db?timeout=9"),
    ],
)
def test_an_address_of_a_database_is_taken_as_people_write_it(given, used):
    assert load({"DATABASE_URL": given, "DATA_DIR": "/data"}).database_url == used


@pytest.mark.parametrize(
    "url",
    ["redis://h:1/0", "redis://h:1/", "rediss://h", "unix:///run/r.sock", "unix://:p@/r.sock"],
)
def test_redis_may_be_anywhere(url):
    read = load({"REDIS_URL": url})

    assert read.redis_url == url and not read.embedded_redis


def test_a_folder_may_be_named_from_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")

    assert load({"DATA_DIR": "~/shop"}).data_dir == Path("/home/somebody/shop")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "--80"),
        ("PORT", "80.5"),
        ("PORT", "８０"),
        ("PORT", "9" * 5000),
        ("PORT", "http"),
        ("WEB_WORKERS", "0"),
        ("WEB_WORKERS", "65"),
        ("WEB_THREADS", "257"),
        ("TRUSTED_PROXIES", "9"),
        ("TRUSTED_PROXIES", "yes"),
        ("CLOCK_OFFSET_S", "tomorrow"),
        ("CLOCK_OFFSET_S", "9999999999"),
        ("RATE_LIMITS", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("SHOP_TIMEZONE", "Asia/Nowhere"),
        ("SHOP_TIMEZONE", "../../etc/passwd"),
        ("SHOP_TIMEZONE", "Asia"),
        ("WECHAT_API_URL", "ftp://x"),
        ("WECHAT_API_URL", "http://[::1"),
        ("WECHAT_API_URL", "http://"),
        ("WECHAT_API_URL", "https:///path"),
        ("WECHAT_API_URL", "http://:80"),
        ("WECHAT_API_URL", "http://h:port"),
        ("DATA_DIR", "~nobody-of-that-name/shop"),
    ],
)
def test_a_wrong_value_gives_one_sentence_that_names_the_setting(name, value):
    sentence = refusal(**{name: value})

    assert sentence.startswith(f"{name} is {value!r}, but must be ") and sentence.endswith(".")
    assert "\n" not in sentence and "literal" not in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"mysql://u:{SECRET}@h/db"),
        ("DATABASE_URL", SECRET),
        ("DATABASE_URL", "sqlite:///"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "sqlite:///:memory:?cache=shared"),
        ("DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true"),
        ("DATABASE_URL", f"postgresql://u:{SECRET}@h:port/db"),
        ("REDIS_URL", f"redis://:{SECRET}@127.0.0.1:6379/abc"),
        ("REDIS_URL", f"redis://:{SECRET}@127.0.0.1:6379/0/1"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "unix:///"),
        ("REDIS_URL", "unix://run/redis.sock"),
        ("REDIS_URL", f"http://:{SECRET}@h"),
        ("REDIS_URL", f"redis://:{SECRET}@[::1"),
        ("SECRET_KEYS", SECRET),
        ("SECRET_KEYS", f"k1:{SECRET},"),
        ("SECRET_KEYS", f",k1:{SECRET}"),
        ("SECRET_KEYS", ","),
        ("SECRET_KEYS", f"k1:{SECRET},k1:{SECRET}"),
        ("SECRET_KEYS", f"k1:{SECRET},k2:{SECRET[:31]}"),
        ("SECRET_KEYS", f"k 1:{SECRET}"),
        ("SECRET_KEYS", f"123456789:{SECRET}"),
        ("SECRET_KEYS", f"钥:{SECRET}"),
        ("SECRET_KEYS", f":{SECRET}"),
    ],
)
def test_a_wrong_secret_is_named_and_never_shown(name, value):
    sentence = refusal(**{name: value})

    assert sentence.startswith(f"{name} is a value not shown, but must be ")
    assert SECRET[:7] not in sentence and "\n" not in sentence


def test_whoever_holds_a_ring_has_no_key_that_is_empty(app, monkeypatch):
    monkeypatch.setitem(
        app.config, "SECRET_KEYS", load({"SECRET_KEYS": f"{RING},k2:{SECRET}"}).secret_keys
    )

    assert list(keys.ring()) == ["k1", "k2"] and keys.signing_name() == "k1"
    assert all(len(secret) >= 32 for secret in keys.ring().values())


def test_wechats_secret_is_needed_with_its_app_id():
    assert refusal(WECHAT_APPID="wx1") == (
        "WECHAT_SECRET is empty, but WECHAT_APPID is set and needs it."
    )
    read = load({"WECHAT_APPID": "wx1", "WECHAT_SECRET": SECRET})
    assert not read.sandbox


def test_wechats_secret_alone_does_not_open_the_demo_shop():
    sentence = refusal(WECHAT_SECRET=SECRET)

    assert sentence.startswith("WECHAT_APPID is empty, but WECHAT_SECRET is set")
    assert SECRET not in sentence


def test_the_clock_is_moved_with_the_sandbox_only():
    assert load({"CLOCK_OFFSET_S": "-60"}).clock_offset_s == -60
    sentence = refusal(WECHAT_APPID="wx1", WECHAT_SECRET=SECRET, CLOCK_OFFSET_S="60")
    assert sentence.startswith("CLOCK_OFFSET_S is set, but is for the sandbox only")


def test_a_real_mini_program_never_runs_with_keys_that_everybody_knows(tmp_path):
    environment = {"WECHAT_APPID": "wx1", "WECHAT_SECRET": SECRET, "DATA_DIR": str(tmp_path)}

    with pytest.raises(WrongSetting, match="^SECRET_KEYS is empty"):
        create_app(environment)


def test_the_ring_that_was_made_before_is_used_again(tmp_path):
    (tmp_path / settings.KEPT_KEYS).write_text(RING + "\n")

    assert load({"DATA_DIR": str(tmp_path)}).secret_keys == RING


@pytest.mark.parametrize("kept", ["not a ring", f"k1:{SECRET},", "k1:" + SECRET[:31]])
def test_a_kept_ring_that_can_not_be_used_is_named_and_not_shown(tmp_path, kept):
    (tmp_path / settings.KEPT_KEYS).write_text(kept)

    sentence = refusal(DATA_DIR=str(tmp_path))

    assert str(tmp_path / settings.KEPT_KEYS) in sentence and SECRET[:7] not in sentence


def test_every_setting_has_a_meaning_a_field_and_a_default_that_can_be_used(tmp_path):
    for setting in TABLE:
        assert setting.meaning and setting.name.isupper()
        setting.read(setting.default)
        assert setting.name.lower() in settings.Settings.__dataclass_fields__
    assert {each.name for each in TABLE if each.secret} >= {
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEYS",
        "WECHAT_SECRET",
    }
