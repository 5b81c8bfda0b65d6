"""The application: settings, extensions, blueprints, commands. gunicorn serves `app:create_app()`."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from werkzeug.middleware.proxy_fix import ProxyFix

import blueprints
from blueprints import errors, metrics, public
from blueprints.contract import MAX_BODY_BYTES
from blueprints.openapi import Api
from mall import commands, jobs, settings
from mall.guards import client
from mall.settings import Settings, WrongSetting
from mall.wechat import SANDBOX_APPID, SANDBOX_SECRET, WeChat
from models import db
from models.base import let_go

VERSION = "0.1.0"
MIGRATIONS = Path(__file__).parent / "models" / "migrations"
CONNECTIONS = 20  # a process keeps at most; PostgreSQL has a hundred for everybody
DEVELOPMENT_KEYS = "dev:" + "0" * 32  # tests and one-off commands; make run makes its own


def create_app(overrides: Mapping[str, str] | None = None, wechat: WeChat | None = None) -> Flask:
    """The application. `overrides` stand before the environment; `wechat` takes WeChat's place."""
    read = settings.load(overrides)
    if not read.sandbox and not read.secret_keys:
        raise WrongSetting("SECRET_KEYS is empty, but WECHAT_APPID is set and needs it.")
    _log(read)
    app = Flask(__name__, static_folder=None)
    app.config.update(_config(read))
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    if read.trusted_proxies:
        hops = read.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    db.init_app(app)
    app.teardown_appcontext(let_go)  # the last to be named is the first to run
    Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True)
    client.connect(app)
    app.extensions["wechat"] = wechat or _wechat(read, app)
    app.extensions["celery"] = jobs.make_celery(app)
    api = Api(app)
    blueprints.register(api)
    public.add_plain_routes(app)
    metrics.add_route(app)
    api.describe_plain_routes(app)
    errors.register(app)
    app.before_request(public.guard_bodies)
    app.after_request(public.guard_answers)
    for group in (jobs.commands, *commands.GROUPS):
        app.cli.add_command(group)
    return app


def _log(read: Settings) -> None:
    form = "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=read.log_level.upper(), format=form)
    logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.getLogger().level))


def _config(read: Settings) -> dict[str, Any]:
    return {
        "SQLALCHEMY_DATABASE_URI": read.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": _engine_options(read),
        "REDIS_URL": read.redis_url,
        "SECRET_KEYS": read.secret_keys or DEVELOPMENT_KEYS,
        "SHOP_TIMEZONE": read.shop_timezone,
        "CLOCK_OFFSET_S": read.clock_offset_s,
        "SANDBOX": read.sandbox,
        "RATE_LIMITS": read.rate_limits,
        "WEB_WORKERS": read.web_workers,
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "DATA_DIR": str(read.data_dir),
        "VERSION": VERSION,
        "API_TITLE": "会员运营中心",
        "API_VERSION": VERSION,
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/api",
        "API_SPEC_OPTIONS": {
            "info": {"description": "Membership operations centre with a points mall"},
            "security": [{"bearer": []}],
        },
    }


def _engine_options(read: Settings) -> dict[str, Any]:
    """Fewer connections than threads, for many of those wait for one that commits for them.

    PostgreSQL gives up on a lock after two seconds.
    """
    options: dict[str, Any] = {
        "pool_size": min(read.web_threads, CONNECTIONS),
        "max_overflow": 8,
        "hide_parameters": True,  # a failure is logged with its statement, never with whose it was
    }
    if read.database_url.startswith("postgresql"):
        limits = "-c lock_timeout=2000 -c idle_in_transaction_session_timeout=30000"
        options["connect_args"] = {"options": limits, "connect_timeout": 3}
    return options


def _wechat(read: Settings, app: Flask) -> WeChat:
    return WeChat(
        appid=read.wechat_appid or SANDBOX_APPID,
        secret=read.wechat_secret or SANDBOX_SECRET,
        api_url=read.wechat_api_url,
        redis=app.extensions["redis"],
    )
