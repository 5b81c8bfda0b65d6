"""Who works here, in which role and where: hired, changed, and let back in by those above them.

Nobody changes themselves, and only an owner makes or changes those who run the mall; so there is
always an owner left, and no admin can make themselves one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import (
    NameTaken,
    NotFound,
    NotYourself,
    OwnersOnly,
    StoreMissing,
    Unauthenticated,
)
from mall.idempotency import Answer, Key
from mall.staff import second_factor
from mall.staff.passwords import check_new, hashed, made
from mall.staff.roles import OFFICE_ROLES, TILL_ROLES
from mall.staff.sessions import end_all, open_now
from mall.staff.standing import enrolled, store_view
from models import Staff, Store, db
from models.base import insert

ENDS_SESSIONS = ("role", "store_id", "active")


def hire(
    *,
    username: str,
    name: str,
    password: str,
    role: str,
    store_id: int | None,
    must_change: bool = False,
    now: datetime,
) -> int:
    """Add somebody to the staff; answers the id."""
    row = {"username": username, "name": name, "role": role, "store_id": store_id}
    row |= {"password_hash": hashed(password), "must_change_password": must_change}
    with atomic() as transaction:
        added = transaction.execute(
            insert(Staff)
            .values(**row, active=True, created_at=now)
            .on_conflict_do_nothing()
            .returning(Staff.id)
        ).scalar()
    if added is None:
        raise NameTaken()
    return int(added)


def hire_with_key(
    *,
    by: int,
    username: str,
    name: str,
    role: str,
    store_id: int | None = None,
    password: str | None = None,
    key: Key,
    now: datetime,
) -> Answer:
    """Hire over HTTP: the first password is made here or given, and changed at the first log-in."""
    if password is not None:
        check_new(password, username)
    first = password or made()
    who: dict[str, Any] = {
        "username": username,
        "name": name,
        "role": role,
        "store_id": _at(role, store_id),
    }
    with atomic():
        key.claim(now=now)
        _may(by, role)
        added = hire(**who, password=first, must_change=True, now=now)
        return key.store(201, {**view(_find(added), now=now), "password": first})


def change(staff_id: int, fields: Mapping[str, Any], *, by: int, now: datetime) -> dict[str, Any]:
    """Change somebody's name, role, store, or whether they still work here."""
    with atomic() as transaction:
        member = _other(staff_id, by)
        values = {**fields}
        role = values.get("role", member.role)
        _may(by, role)
        if {"role", "store_id"} & values.keys():
            values["store_id"] = _at(role, values.get("store_id", member.store_id))
        if any(values.get(name, kept) != kept for name, kept in _standing(member).items()):
            end_all(staff_id)
        if values:
            transaction.execute(sa.update(Staff).where(Staff.id == staff_id).values(**values))
        return view(_find(staff_id), now=now)


def reset_password(staff_id: int, *, by: int, key: Key, now: datetime) -> Answer:
    """Give somebody who forgot theirs a password for one log-in; answers it this once."""
    first = made()
    values = {"password_hash": hashed(first), "must_change_password": True}
    with atomic() as transaction:
        key.claim(now=now)
        _other(staff_id, by)
        transaction.execute(sa.update(Staff).where(Staff.id == staff_id).values(**values))
        end_all(staff_id)
        return key.store(200, {**view(_find(staff_id), now=now), "password": first})


def remove_second_factor(staff_id: int, *, by: int, key: Key, now: datetime) -> Answer:
    """Let somebody who lost their phone in with a password alone, until they enrol anew."""
    with atomic():
        key.claim(now=now)
        _other(staff_id, by)
        second_factor.forget(staff_id)
        end_all(staff_id)
        return key.store(200, view(_find(staff_id), now=now))


def roster(*, role: str | None = None, active: bool | None = None) -> sa.Select[Any]:
    """Those who work or worked here."""
    query = sa.select(Staff)
    if role is not None:
        query = query.where(Staff.role == role)
    return query if active is None else query.where(Staff.active == active)


def view(member: Staff, *, now: datetime) -> dict[str, Any]:
    names = ("id", "username", "name", "role", "active")
    return {
        **{name: getattr(member, name) for name in names},
        "store": store_view(member),
        "second_factor": enrolled(member.id),
        "password_change_needed": member.must_change_password,
        "sessions": open_now(member.id, now),
        "created_at": clock.rfc3339(member.created_at),
    }


def _standing(member: Staff) -> dict[str, Any]:
    return {name: getattr(member, name) for name in ENDS_SESSIONS}


def _find(staff_id: int) -> Staff:
    """Somebody as this transaction has them now."""
    member = db.session.get(Staff, staff_id, populate_existing=True)
    if member is None:
        raise NotFound()
    return member


def _other(staff_id: int, by: int) -> Staff:
    """Whom somebody may change: not themselves, and only below an owner."""
    if staff_id == by:
        raise NotYourself()
    member = _find(staff_id)
    _may(by, member.role)
    return member


def _may(by: int, role: str) -> None:
    """Refuse an admin to touch those who run the mall; asked again here, as roles change."""
    acting = _find(by)
    if not acting.active:
        raise Unauthenticated()
    if role in OFFICE_ROLES and acting.role != "owner":
        raise OwnersOnly()


def _at(role: str, store_id: int | None) -> int | None:
    """The store of a role: those at a till have one, and nobody else."""
    if role not in TILL_ROLES:
        return None
    if store_id is None:
        raise StoreMissing()
    if db.session.get(Store, store_id) is None:
        raise NotFound()
    return store_id
