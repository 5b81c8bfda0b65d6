"""Messages a member was written."""

import sqlalchemy as sa
from flask import g
from marshmallow import fields, validate

from blueprints.contract import Blueprint, Body, Out, an_id, idempotent, moment, reply
from blueprints.errors import language
from blueprints.pages import PageArgs, page
from mall import clock, messages
from models import Message

bp = Blueprint("messages", __name__, description="Messages")


class MessageOut(Out):
    id = fields.Integer()
    occasion = fields.String(validate=validate.OneOf(sorted(messages.OCCASIONS)))
    title = fields.String()
    body = fields.String()
    created_at = moment()
    read_at = moment(allow_none=True)


class MessagePageOut(Out):
    items = fields.List(fields.Nested(MessageOut))
    next_cursor = fields.String(allow_none=True)
    unread = fields.Integer()


@bp.get("/me/messages")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, MessagePageOut())
def list_messages(args: dict):
    """What the shop wrote to me, newest first, and how much of it I have not read."""
    shown = page(
        sa.select(Message).where(Message.member_id == g.member_id), Message.id, _view, args
    )
    return {**shown, "unread": messages.unread(g.member_id)}


def _view(message: Message) -> dict:
    spoken = language()
    return {
        "id": message.id,
        "occasion": message.occasion,
        "title": getattr(message, f"title_{spoken}"),
        "body": getattr(message, f"body_{spoken}"),
        "created_at": clock.rfc3339(message.created_at),
        "read_at": clock.rfc3339(message.read_at) if message.read_at else None,
    }


class ReadBody(Body):
    last_id = an_id(required=True)


class ReadOut(Out):
    unread = fields.Integer()


@bp.post("/me/messages/reads")
@idempotent
@bp.arguments(ReadBody())
@bp.response(200, ReadOut())
def read_messages(body: dict, *, key):
    """I have read my messages up to this one."""
    return reply(messages.read_all(g.member_id, **body, key=key, now=clock.now()))
