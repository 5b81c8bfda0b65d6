"""Changes that staff make are noted in the audit log, with what they changed, in one transaction."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import sqlalchemy as sa
from flask import g, request

from mall import audit, clock
from mall.atomic import atomic, read
from mall.audit import Act
from mall.idempotency import Answer, Key
from models.base import Base, table_of

Row = dict[str, Any] | None


def audited(action: str, *models: type[Base], apart: bool = False) -> Callable[..., Any]:
    """Note what a view does to the rows of some models that have the same key.

    The key is the one that the path names, else the `id` of the answer. Without models the answer
    is what came of it. `apart` is for what commits in parts: it is noted once it is over.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def told(*args: Any, **kwargs: Any) -> Any:
            if apart:
                answer = view(*args, **kwargs)
                with atomic():
                    _note(action, models, None, None, answer)
                return answer
            with atomic():
                audit.begin()
                named = _named_by_path()
                before = _rows(models, named)
                answer = view(*args, **kwargs)
                _note(action, models, named, before, answer)
            return answer

        told.audited = action  # type: ignore[attr-defined]
        return told

    return decorate


def left(action: str) -> Callable[..., Any]:
    """Write down what a till does, in its transaction, with its answer; a job adds it to the chain.

    The subject is the row that the path names by number, else the `id` of the answer or of the one
    thing in it. Codes in paths are never written down.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def told(*args: Any, key: Key, **kwargs: Any) -> Any:
            def then(answer: Answer) -> None:
                said = json.loads(answer.body)
                if said.get("id", said) is not None:  # a dry run has made nothing
                    leave(action, said)

            return view(*args, key=replace(key, then=then), **kwargs)

        told.audited = action  # type: ignore[attr-defined]
        return told

    return decorate


def leave(action: str, told: dict[str, Any], *, actor: str = "", subject: object = None) -> None:
    """Write down an act of whoever calls, or of somebody named."""
    act = Act(
        actor=actor or g.caller,
        action=action,
        subject_kind=action.partition(".")[0],
        subject_id=str(_subject(told) if subject is None else subject),
        after=told,
        address=request.remote_addr or "",
    )
    audit.leave(act, now=clock.now())


def _subject(told: dict[str, Any]) -> object:
    named = _named_by_path()
    if isinstance(named, int):
        return named
    if "id" in told:
        return told["id"]
    inside = (value["id"] for value in told.values() if isinstance(value, dict) and "id" in value)
    return next(inside, "")


def _named_by_path() -> Any:
    """The one variable of the path; None where there is none."""
    return next(iter((request.view_args or {}).values()), None)


def _rows(models: tuple[type[Base], ...], key: Any) -> Row:
    """The columns of the rows that have this key, as SQL has them now."""
    found: dict[str, Any] = {}
    for model in models if key is not None else ():
        table = table_of(model)
        (column,) = table.primary_key.columns
        for row in read(sa.select(table).where(column == key)):
            found |= dict(row._mapping)
    return found or None


def _note(
    action: str, models: tuple[type[Base], ...], named: Any, before: Row, answer: Any
) -> None:
    told = answer.get_json()
    subject = named if named is not None else told.get("id", told.get("code", ""))
    act = Act(
        actor=g.caller,
        action=action,
        subject_kind=action.partition(".")[0],
        subject_id=str(subject),
        before=before,
        after=_rows(models, subject) if models else told,
        address=request.remote_addr or "",
    )
    audit.note(act, now=clock.now())
