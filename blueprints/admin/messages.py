"""Templates of messages: what the shop writes on an occasion, drafted, looked at, published."""

import sqlalchemy as sa
from flask import g
from marshmallow import ValidationError, fields, validate, validates_schema

from blueprints.audited import audited
from blueprints.contract import (
    Blueprint,
    Body,
    Nothing,
    Out,
    YesOrNo,
    an_id_asked,
    idempotent,
    moment,
    reply,
    text,
)
from blueprints.pages import PageArgs, page, page_of
from mall import clock, messages
from models import MessageTemplate
from models.messages import BODY_LENGTH, TITLE_LENGTH

OCCASIONS = sorted(messages.OCCASIONS)

bp = Blueprint("message-templates", __name__, description="What the shop writes to members")


class OccasionOut(Out):
    """An occasion to write, the variables a text may use, and those it has to."""

    occasion = fields.String(validate=validate.OneOf(OCCASIONS))
    variables = fields.Dict(keys=fields.String(), values=fields.String())
    needs = fields.List(fields.String())


class OccasionListOut(Out):
    items = fields.List(fields.Nested(OccasionOut))
    next_cursor = fields.String(allow_none=True)


class TemplateFields(Body):
    title_zh = text(1, TITLE_LENGTH)
    body_zh = text(1, BODY_LENGTH)
    title_en = text(1, TITLE_LENGTH)
    body_en = text(1, BODY_LENGTH)
    is_on = YesOrNo()

    @validates_schema
    def says_something(self, data: dict, **_: object) -> None:
        if not data:
            raise ValidationError("nothing to change")


class NewTemplate(Body):
    occasion = fields.String(required=True, validate=validate.OneOf(OCCASIONS))
    title_zh = text(1, TITLE_LENGTH, required=True)
    body_zh = text(1, BODY_LENGTH, required=True)
    title_en = text(1, TITLE_LENGTH, required=True)
    body_en = text(1, BODY_LENGTH, required=True)
    is_on = YesOrNo(load_default=True)


class TemplateOut(Out):
    """A version of a template; a draft has no version, and of an occasion's the highest counts."""

    id = fields.Integer()
    occasion = fields.String(validate=validate.OneOf(OCCASIONS))
    version = fields.Integer(allow_none=True)
    title_zh = fields.String()
    body_zh = fields.String()
    title_en = fields.String()
    body_en = fields.String()
    is_on = fields.Boolean()
    created_by = fields.Integer(allow_none=True)
    created_at = moment()
    published_by = fields.Integer(allow_none=True)
    published_at = moment(allow_none=True)


class TemplatePreviewOut(Out):
    """How it reads, and what stands in the way of publishing it."""

    title_zh = fields.String()
    body_zh = fields.String()
    title_en = fields.String()
    body_en = fields.String()
    unknown = fields.List(fields.String())
    missing = fields.List(fields.String())


class TemplatePreviewArgs(Body):
    member_id = an_id_asked(load_default=None)


@bp.get("/message-occasions")
@bp.response(200, OccasionListOut())
def list_occasions():
    """When the shop can write to a member, and with which variables."""
    items = [
        {"occasion": code, "variables": each.variables, "needs": sorted(each.needs)}
        for code, each in sorted(messages.OCCASIONS.items())
    ]
    return {"items": items, "next_cursor": None}


@bp.get("/message-templates")
@bp.arguments(PageArgs(), location="query")
@bp.response(200, page_of(TemplateOut, "MessageTemplatePage")())
def list_templates(args: dict):
    """Every version and every draft, newest first."""
    return page(sa.select(MessageTemplate), MessageTemplate.id, messages.view, args)


@bp.post("/message-templates")
@idempotent
@audited("message_template.draft")
@bp.arguments(NewTemplate())
@bp.response(201, TemplateOut())
def draft_template(body: dict, *, key):
    """Write a draft; nobody is written to by it before it is published."""
    return reply(messages.draft(body, staff_id=g.staff.id, key=key, now=clock.now()))


@bp.patch("/message-templates/<id:template_id>")
@audited("message_template.change", MessageTemplate)
@bp.arguments(TemplateFields())
@bp.response(200, TemplateOut())
def change_template(body: dict, template_id: int):
    """Change a draft; what is published stays what it is."""
    return messages.view(messages.redraft(template_id, body))


@bp.get("/message-templates/<id:template_id>/preview")
@bp.arguments(TemplatePreviewArgs(), location="query")
@bp.response(200, TemplatePreviewOut())
def preview_template(args: dict, template_id: int):
    """How it reads with samples, or with a member's own name, tier and balance."""
    return messages.preview(template_id, **args)


@bp.post("/message-templates/<id:template_id>/publication")
@idempotent
@audited("message_template.publish", MessageTemplate)
@bp.arguments(Nothing())
@bp.response(200, TemplateOut())
def publish_template(body: dict, template_id: int, *, key):
    """Put a draft in force; refused while it uses what nobody knows or leaves out what is needed."""
    who = {"staff_id": g.staff.id, "key": key}
    return reply(messages.publish(template_id, **who, now=clock.now()))
