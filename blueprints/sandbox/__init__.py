"""WeChat as it answers, for a developer's own machine: an application of its own.

Nothing of ours imports it and it imports nothing of ours, so that what it answers is learnt from
WeChat's documents and not from our reading of them. Start it with `python -m blueprints.sandbox`.
Unlike WeChat it takes a code any number of times, and its codes say what they stand for.
"""

from pathlib import Path

from flask import Flask

APPID = "wxsandbox0000000001"
SECRET = "sandbox-secret"
MAX_BODY_BYTES = 65_536


def create_app(
    appid: str = APPID, secret: str = SECRET, data: Path | None = None, seed: int = 0
) -> Flask:
    """A sandbox for one mini-program; with `data`, access tokens outlive a restart."""
    from . import calls, misbehave, page, talk, tokens, users

    app = Flask(__name__, static_folder=None)
    app.config.update(APPID=appid, SECRET=secret, MAX_CONTENT_LENGTH=MAX_BODY_BYTES)
    app.extensions["tokens"] = tokens.Tokens(data / "sandbox-tokens.json" if data else None)
    app.extensions["seen"] = page.Seen()
    app.extensions["users"] = users.Users()
    app.extensions["misbehaviours"] = misbehave.Misbehaviours(seed)
    for blueprint in (misbehave.bp, calls.bp, talk.bp):
        app.register_blueprint(blueprint)
    app.register_blueprint(page.bp)
    return app
