"""A second factor: time-based codes (RFC 6238, SHA-1, 6 digits, 30 s) of an app on somebody's phone.

The secret is sealed under the key ring; a step's code is good once, and one step early or late.
"""

import base64
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from mall import keys, shop
from mall.atomic import atomic
from mall.errors import (
    OtpWrong,
    SecondFactorEnrolled,
    SecondFactorNeeded,
    SecondFactorNotBegun,
)
from mall.idempotency import Answer, Key
from mall.staff.failures import check_throttle, fail, one_at_a_time
from mall.staff.passwords import prove
from mall.staff.sessions import end_all
from mall.staff.standing import enrolled, factor_needed, own_view
from models import SecondFactor, Staff, db
from models.base import insert, table_of

PURPOSE = "second factor"
SECRET_BYTES = 20
DIGITS, STEP_S = 6, 30

_table = table_of(SecondFactor)


def begin(staff_id: int, password: str, *, key: Key, now: datetime) -> Answer:
    """Make a secret for an app to hold; it counts once a code of it has been shown."""
    member = prove(staff_id, password, now)
    secret = secrets.token_bytes(SECRET_BYTES)
    row = {"sealed": keys.seal(PURPOSE, secret), "begun_at": now}
    statement = insert(SecondFactor).values(staff_id=staff_id, **row)
    with atomic() as transaction:
        key.claim(now=now)
        changed = statement.on_conflict_do_update(
            index_elements=["staff_id"], set_=row, where=_table.c.confirmed_at.is_(None)
        )
        if transaction.execute(changed.returning(_table.c.staff_id)).first() is None:
            raise SecondFactorEnrolled()
        return key.store(200, _told(member, secret))


def _told(member: Staff, secret: bytes) -> dict[str, Any]:
    """The secret for typing and as the address that authenticator apps read from a picture."""
    text = base64.b32encode(secret).decode().rstrip("=")
    issuer = str(shop.setting("shop_name"))
    asked = urlencode({"secret": text, "issuer": issuer}, quote_via=quote)
    label = quote(f"{issuer}:{member.username}")
    return {"secret": text, "otpauth_uri": f"otpauth://totp/{label}?{asked}"}


def confirm(staff_id: int, otp: str, *, token: str, key: Key, now: datetime) -> Answer:
    """Show a code of the new secret; from now on every log-in asks for one."""
    _guess(staff_id, otp, now=now, confirmed=False)
    with atomic() as transaction:
        key.claim(now=now)
        turned = sa.update(_table).where(
            _table.c.staff_id == staff_id, _table.c.confirmed_at.is_(None)
        )
        if transaction.execute(turned.values(confirmed_at=now)).rowcount != 1:
            raise SecondFactorNotBegun()
        end_all(staff_id, but=token)
        return key.store(200, own_view(staff_id, now=now))


def remove(staff_id: int, password: str, otp: str, *, key: Key, now: datetime) -> Answer:
    """Do without a second factor again, where the shop does not ask for one."""
    member = prove(staff_id, password, now)
    if factor_needed(member.role):
        raise SecondFactorNeeded()
    _guess(staff_id, otp, now=now, confirmed=True)
    with atomic():
        key.claim(now=now)
        forget(staff_id)
        return key.store(200, own_view(staff_id, now=now))


def forget(staff_id: int) -> None:
    with atomic() as transaction:
        transaction.execute(sa.delete(_table).where(_table.c.staff_id == staff_id))


def reseal() -> int:
    """Seal every secret with the ring's signing key; answers how many."""
    with atomic() as transaction:
        rows = transaction.execute(sa.select(_table).with_for_update()).all()
        opened = [(row.staff_id, keys.unseal(PURPOSE, row.sealed)) for row in rows]
        for staff_id, secret in opened:
            if secret is not None:
                mine = sa.update(_table).where(_table.c.staff_id == staff_id)
                transaction.execute(mine.values(sealed=keys.seal(PURPOSE, secret)))
    return sum(secret is not None for _, secret in opened)


def _guess(staff_id: int, otp: str, *, now: datetime, confirmed: bool) -> None:
    """Raise OtpWrong for a wrong code, which counts like a wrong password."""
    subject = db.session.get_one(Staff, staff_id).username.lower()
    with atomic():
        one_at_a_time(subject)
        check_throttle(subject, now)
        if enrolled(staff_id) != confirmed:
            raise SecondFactorNotBegun() if confirmed else SecondFactorEnrolled()
        right = use(staff_id, otp, now=now)
        if not right:
            fail("password", subject, now=now)
    if not right:
        raise OtpWrong()


def use(staff_id: int, otp: str, *, now: datetime) -> bool:
    """Use a code up. A step's code is good once: whoever read it over a shoulder is too late."""
    with atomic() as transaction:
        mine = _table.c.staff_id == staff_id
        row = transaction.execute(sa.select(_table).where(mine).with_for_update()).one_or_none()
        if row is None:
            return False
        secret = keys.unseal(PURPOSE, row.sealed)
        step = _step_of(secret, otp, now) if secret else None
        if step is None or step <= row.last_step:
            return False
        transaction.execute(sa.update(_table).where(mine).values(last_step=step))
        return True


def _step_of(secret: bytes, otp: str, now: datetime) -> int | None:
    """The step whose code this is, of this one and its two neighbours."""
    totp = TOTP(secret, DIGITS, SHA1(), STEP_S)
    step = int(now.timestamp()) // STEP_S
    for near in (step, step - 1, step + 1):
        try:
            totp.verify(otp.encode(), near * STEP_S)
        except InvalidToken:
            continue
        return near
    return None
