"""Lists: newest first, a page at a time, with a cursor that only we can make."""

from collections.abc import Callable
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from flask import request
from marshmallow import fields

from blueprints.contract import Out, whole_asked
from mall import keys
from mall.errors import Malformed
from models import db

PURPOSE = "page cursor"
DEFAULT_LIMIT = 20
MAX_LIMIT = 100
LONGEST_CURSOR = 64


class PageArgs(ma.Schema):
    """`?cursor=&limit=`"""

    cursor = fields.String(load_default=None, validate=ma.validate.Length(1, LONGEST_CURSOR))
    limit = whole_asked(1, MAX_LIMIT, load_default=DEFAULT_LIMIT)


def page_of(item: type[ma.Schema], name: str) -> type[ma.Schema]:
    """The schema of a page of items."""
    return Out.from_dict(
        {
            "items": fields.List(fields.Nested(item)),
            "next_cursor": fields.String(allow_none=True),
        },
        name=name,
    )


def page(
    query: sa.Select[Any],
    column: Any,
    view: Callable[[Any], dict[str, Any]],
    args: dict[str, Any],
    *,
    ascending: bool = False,
) -> dict[str, Any]:
    """A page of a query's rows as `view` shows them, in the order of a unique whole column."""
    after = _read(args["cursor"]) if args["cursor"] else None
    if after is not None:
        query = query.where(column > after if ascending else column < after)
    query = query.order_by(None).order_by(column if ascending else column.desc())
    rows = db.session.execute(query.limit(args["limit"] + 1)).scalars().all()
    shown = rows[: args["limit"]]
    more = len(rows) > len(shown)
    last = getattr(shown[-1], column.key) if more else None
    return {
        "items": [view(row) for row in shown],
        "next_cursor": None if last is None else _write(last),
    }


def _message(name: str, place: int) -> bytes:
    assert request.url_rule is not None
    return f"{name}.{place}.{request.url_rule.rule}".encode()


def _write(place: int) -> str:
    name = keys.signing_name()
    return f"{name}.{place}.{keys.tag(PURPOSE, name, _message(name, place))}"


def _read(cursor: str) -> int:
    name, _, rest = cursor.partition(".")
    place, _, tag = rest.partition(".")
    if not (place.isascii() and place.isdecimal()):
        raise Malformed(cursor=cursor)
    if not keys.same(keys.tag(PURPOSE, name, _message(name, int(place))), tag):
        raise Malformed(cursor=cursor)
    return int(place)
