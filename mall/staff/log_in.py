"""Log in at a till or in the console: a password, and the second factor where one is enrolled."""

from datetime import datetime

import sqlalchemy as sa

from mall.atomic import atomic
from mall.errors import LoginRefused, MallError, OtpNeeded, OtpWrong
from mall.idempotency import Answer, Key
from mall.staff import second_factor
from mall.staff.failures import check_throttle, fail, one_at_a_time
from mall.staff.passwords import right
from mall.staff.sessions import SESSION_LASTS, open_session
from mall.staff.standing import enrolled, store_view
from models import Staff, db


def log_in(
    *, username: str, password: str, otp: str | None = None, key: Key, now: datetime
) -> Answer:
    """Open a session. Its token is in the answer and nowhere else; the row keeps a hash.

    A wrong code counts like a wrong password, so that neither can be tried for long.
    """
    subject = username.lower()
    check_throttle(subject, now)
    member = db.session.scalar(sa.select(Staff).where(Staff.username == username))
    known = right(member, password)
    with atomic():
        key.claim(now=now)
        one_at_a_time(subject)  # guesses sent together are judged one after the other
        check_throttle(subject, now)
        refusal = _refusal(member, otp, now) if known and member else LoginRefused()
        if refusal is None and member is not None:
            return _logged_in(member, key, now)
        key.drop()
        if not isinstance(refusal, OtpNeeded):
            fail("password", subject, now=now)
    raise refusal or LoginRefused()


def _refusal(member: Staff, otp: str | None, now: datetime) -> MallError | None:
    """Why the second factor keeps somebody out, whose password was right."""
    if not enrolled(member.id):
        return None
    if otp is None:
        return OtpNeeded()
    return None if second_factor.use(member.id, otp, now=now) else OtpWrong()


def _logged_in(member: Staff, key: Key, now: datetime) -> Answer:
    return key.store(
        200,
        {
            "access_token": open_session(member.id, now),
            "expires_in_s": int(SESSION_LASTS.total_seconds()),
            "role": member.role,
            "store": store_view(member),
        },
    )
