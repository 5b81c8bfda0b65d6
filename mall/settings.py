"""What a machine needs to know: addresses, secrets, sizes. Rules a shopkeeper tunes are rows instead.

One table says every setting with its default and meaning; the README's table is checked against it.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from click import ClickException
from redis import ConnectionPool
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

REDIS_SCHEMES = ("redis", "rediss", "unix")
REDIS_DATABASE = re.compile(r"(/[0-9]{0,4})?")
KEPT_KEYS = "secret_keys"
LOG_LEVELS = ("debug", "info", "warning", "error")
WHOLE = re.compile(r"-?[0-9]{1,12}")
KEY_NAME = re.compile(r"[A-Za-z0-9]{1,8}")
SECRET_LENGTH = 32


class WrongSetting(ClickException):
    """A setting whose value can't be used; its text is one sentence that names the setting."""


@dataclass(frozen=True)
class Setting:
    """One row of the table: an environment variable, its default, how to read it, what it means."""

    name: str
    default: str
    read: Callable[[str], object]
    meaning: str
    secret: bool = False


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if WHOLE.fullmatch(text) else None
        if number is None or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return read


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return text.lower()

    return read


def _database(text: str) -> str:
    if text.startswith(("postgresql://", "postgres://")):
        text = "postgresql+psycopg://" + text.split("://", 1)[1]
    if text and not text.startswith(("postgresql+psycopg://", "sqlite:///")):
        raise ValueError("an address that starts with postgresql:// or sqlite:///")
    try:
        url = make_url(text) if text else None
    except (ArgumentError, ValueError):
        raise ValueError("an address such as postgresql://user:password@host:5432/name") from None
    file = url.database or "" if url and text.startswith("sqlite") else "elsewhere"
    if not file or file.startswith((":memory:", "file:")):
        raise ValueError("the path of a file after sqlite:///, for all processes share it")
    return text


def _scheme(address: str) -> str:
    try:
        return urlsplit(address).scheme
    except ValueError:
        return ""


def _redis(text: str) -> str:
    if text and _scheme(text) not in REDIS_SCHEMES:
        raise ValueError("an address that starts with redis://, rediss:// or unix://")
    try:
        ConnectionPool.from_url(text or "redis://").make_connection()
        parts = urlsplit(text)
        parts.port  # noqa: B018 — raises for one that is none
    except (ValueError, TypeError):
        raise ValueError("an address such as redis://host:6379/0") from None
    if parts.scheme == "unix" and (parts.hostname or not parts.path.strip("/")):
        raise ValueError("unix:// with the path of a socket, such as unix:///run/redis.sock")
    if parts.scheme in ("redis", "rediss") and not REDIS_DATABASE.fullmatch(parts.path):
        raise ValueError("an address that ends with a database's number, as redis://host:6379/0")
    return text


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("the path of a folder") from None


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("a time zone such as Asia/Shanghai") from None
    return text


def _key_ring(text: str) -> str:
    pairs = [part.partition(":") for part in text.split(",")] if text else []
    right = [KEY_NAME.fullmatch(name) and len(secret) >= SECRET_LENGTH for name, _, secret in pairs]
    if not all(right) or len({name for name, _, _ in pairs}) < len(pairs):
        raise ValueError(
            "name:secret pairs with commas between, each name once, each secret of"
            f" {SECRET_LENGTH} characters or more"
        )
    return text


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        names_a_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, names_a_host = urlsplit(""), False
    if text and not (parts.scheme in ("http", "https") and names_a_host):
        raise ValueError("an address that starts with http:// or https:// and names a host")
    return text.rstrip("/")


TABLE = (
    Setting("PORT", "8000", _whole(1, 65535), "the port `make run` listens on"),
    Setting("HOST", "127.0.0.1", str, "the address it listens on"),
    Setting(
        "DATA_DIR",
        "var",
        _folder,
        "where the embedded database, the embedded Redis and the secrets live",
    ),
    Setting(
        "DATABASE_URL",
        "",
        _database,
        "an SQLAlchemy address; a relative SQLite path is under `DATA_DIR`; empty: SQLite there",
        secret=True,
    ),
    Setting(
        "REDIS_URL",
        "",
        _redis,
        "`redis://`, `rediss://` or `unix://`; empty: the embedded server under `DATA_DIR`",
        secret=True,
    ),
    Setting(
        "WECHAT_APPID",
        "",
        str,
        "the mini-program's app id; empty: the WeChat sandbox and the demo shop",
    ),
    Setting(
        "WECHAT_SECRET",
        "",
        str,
        "the mini-program's app secret; needed with `WECHAT_APPID`",
        secret=True,
    ),
    Setting(
        "WECHAT_API_URL",
        "",
        _address,
        "where WeChat answers; empty: WeChat itself, or the sandbox that `make run` starts",
    ),
    Setting(
        "SECRET_KEYS",
        "",
        _key_ring,
        "the key ring `name:secret,...`: the first signs, all verify; empty: made once under `DATA_DIR`",
        secret=True,
    ),
    Setting("SHOP_TIMEZONE", "Asia/Shanghai", _zone, "the zone of the shop's business day"),
    Setting("WEB_WORKERS", "2", _whole(1, 64), "gunicorn workers"),
    Setting("WEB_THREADS", "16", _whole(1, 256), "requests each worker serves at once"),
    Setting(
        "TRUSTED_PROXIES",
        "0",
        _whole(0, 8),
        "how many proxies in front may be believed about the caller's address",
    ),
    Setting(
        "RATE_LIMITS",
        "on",
        _one_of("on", "off"),
        "`off` for load tests on loopback; it lifts rate limits only",
    ),
    Setting(
        "CLOCK_OFFSET_S",
        "0",
        _whole(-3_153_600_000, 3_153_600_000),
        "seconds added to the clock, with the sandbox only",
    ),
    Setting("LOG_LEVEL", "info", _one_of(*LOG_LEVELS), "how much is logged"),
)


@dataclass(frozen=True)
class Settings:
    """Every setting of TABLE, read and checked."""

    port: int
    host: str
    data_dir: Path
    database_url: str
    redis_url: str
    wechat_appid: str
    wechat_secret: str
    wechat_api_url: str
    secret_keys: str
    shop_timezone: str
    web_workers: int
    web_threads: int
    trusted_proxies: int
    rate_limits: bool
    clock_offset_s: int
    log_level: str

    @property
    def sandbox(self) -> bool:
        """Whether WeChat is the sandbox: no app id of a real mini-program is set."""
        return not self.wechat_appid

    @property
    def embedded_redis(self) -> bool:
        return self.redis_url == f"unix://{self.data_dir / 'redis.sock'}"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read every setting; WrongSetting names the first that can't be used."""
    environment = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for setting in TABLE:
        text = environment.get(setting.name, "").strip() or setting.default
        try:
            values[setting.name.lower()] = setting.read(text)
        except ValueError as wrong:
            shown = "a value not shown" if setting.secret else repr(text)
            raise WrongSetting(f"{setting.name} is {shown}, but must be {wrong}.") from None
    _fill_in(values)
    return Settings(**{field.name: values[field.name] for field in fields(Settings)})  # type: ignore[arg-type]


def _kept_keys(path: Path) -> str:
    """The key ring that `make run` made under DATA_DIR; empty where it has made none."""
    try:
        return _key_ring(path.read_text().strip() if path.is_file() else "")
    except (OSError, ValueError) as wrong:
        raise WrongSetting(f"The key ring {path} can't be used: {wrong}.") from None


def _under(data_dir: Path, address: str) -> str:
    """An address whose SQLite file is under DATA_DIR where its path is relative."""
    path = address.removeprefix("sqlite:///")
    if path == address or path.startswith("/"):
        return address
    return f"sqlite:///{data_dir}/{path}"


def _fill_in(values: dict[str, object]) -> None:
    if values["wechat_appid"] and not values["wechat_secret"]:
        raise WrongSetting("WECHAT_SECRET is empty, but WECHAT_APPID is set and needs it.")
    if values["wechat_secret"] and not values["wechat_appid"]:
        raise WrongSetting(
            "WECHAT_APPID is empty, but WECHAT_SECRET is set: set both, or neither for the sandbox."
        )
    if values["wechat_appid"] and values["clock_offset_s"]:
        raise WrongSetting(
            "CLOCK_OFFSET_S is set, but is for the sandbox only: unset WECHAT_APPID or it."
        )
    data_dir = Path(str(values["data_dir"]))
    values["rate_limits"] = values["rate_limits"] == "on"
    values["secret_keys"] = values["secret_keys"] or _kept_keys(data_dir / KEPT_KEYS)
    values["database_url"] = _under(data_dir, str(values["database_url"] or "sqlite:///mall.db"))
    values["redis_url"] = values["redis_url"] or f"unix://{data_dir / 'redis.sock'}"
