"""How Alembic runs here: on the application's own engine, each migration in a transaction."""

from typing import Any, Literal

from alembic import context
from flask import current_app

from models import db
from models.base import UTCDateTime


def render_item(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Migrations say what the database sees: they import nothing of ours that may change."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    options = current_app.extensions["migrate"].configure_args
    with db.engine.connect() as connection:
        writing = connection.execution_options(writes=True)
        context.configure(
            connection=writing,
            target_metadata=db.metadata,
            render_item=render_item,
            transaction_per_migration=True,
            **options,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
