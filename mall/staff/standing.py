"""Where somebody of the staff stands: their store, and what they must do before they may work."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import shop
from mall.atomic import read
from mall.errors import PasswordChangeNeeded, SecondFactorMissing
from mall.staff.roles import CONSOLE_ROLES
from mall.staff.sessions import open_now
from models import SecondFactor, Staff, Store, db
from models.base import table_of

_factors = table_of(SecondFactor)


def id_of(username: str) -> int | None:
    found = db.session.scalar(sa.select(Staff.id).where(Staff.username == username))
    return None if found is None else int(found)


def store_of(member: Staff) -> Store | None:
    return None if member.store_id is None else db.session.get(Store, member.store_id)


def store_view(member: Staff) -> dict[str, Any] | None:
    store = store_of(member)
    return {"id": store.id, "code": store.code, "name": store.name} if store else None


def enrolled(staff_id: int) -> bool:
    """Whether somebody has a second factor that they confirmed."""
    found = sa.select(_factors.c.staff_id).where(
        _factors.c.staff_id == staff_id, _factors.c.confirmed_at.is_not(None)
    )
    return bool(read(found))


def factor_needed(role: str) -> bool:
    """Whether the shop asks a second factor of a role."""
    return role in CONSOLE_ROLES and bool(shop.setting("second_factor_required"))


def check_ready(member: Staff) -> None:
    """Refuse who must first change a password that another knows, or enrol a second factor."""
    if member.must_change_password:
        raise PasswordChangeNeeded()
    if factor_needed(member.role) and not enrolled(member.id):
        raise SecondFactorMissing()


def own_view(staff_id: int, *, now: datetime) -> dict[str, Any]:
    """Somebody as they see themselves."""
    member = db.session.get_one(Staff, staff_id, populate_existing=True)
    return {
        **{name: getattr(member, name) for name in ("id", "username", "name", "role")},
        "store": store_view(member),
        "second_factor": enrolled(staff_id),
        "second_factor_needed": factor_needed(member.role),
        "password_change_needed": member.must_change_password,
        "sessions": open_now(staff_id, now),
    }
