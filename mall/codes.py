"""The member code: a card's number signed for half a minute, good for one scan.

Format `M1.<key>.<card number>.<step>.<nonce>.<tag>`: `step` counts half minutes since 1970,
`nonce` is random, `tag` is 128 bits of HMAC-SHA256 over all before it, in base64url. It says who
is there; it never allows spending.
"""

import base64
import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import keys
from mall.atomic import atomic
from mall.errors import CodeExpired, CodeInvalid, CodeUsed, NotFound
from models import Member, MemberCodeUse, Merge
from models.base import insert

PREFIX = "M1"
PURPOSE = "member code"
STEP_S = 30
STEPS_GOOD_FOR = 1  # the step it was made in and the one after
NONCE_BYTES = 9
USES_KEPT = timedelta(days=1)


def mint(card_no: str, *, now: datetime) -> tuple[str, int]:
    """A fresh code for a card, and the seconds until the next should be fetched."""
    step, into = divmod(int(now.timestamp()), STEP_S)
    nonce = keys.to_text(secrets.token_bytes(NONCE_BYTES))
    name = keys.signing_name()
    body = f"{PREFIX}.{name}.{card_no}.{step}.{nonce}"
    return f"{body}.{keys.tag(PURPOSE, name, body.encode())}", STEP_S - into


def read(code: str, *, now: datetime) -> tuple[str, str]:
    """The (card number, nonce) of a code that is ours and still good; used or not is asked apart."""
    body, _, tag = code.rpartition(".")
    parts = body.split(".")
    if len(parts) != 5 or not _canonical(tag):
        raise CodeInvalid()
    _, name, card_no, step, nonce = parts
    if not keys.same(keys.tag(PURPOSE, name, body.encode()), tag):
        raise CodeInvalid()
    age = int(now.timestamp()) // STEP_S - int(step)
    if not 0 <= age <= STEPS_GOOD_FOR:
        raise CodeExpired()
    return card_no, nonce


def _canonical(tag: str) -> bool:
    """Whether a tag is the one spelling of its bytes: base64 lets its last bits be anything."""
    try:
        raw = base64.urlsafe_b64decode(tag + "==")
    except ValueError:
        return False
    return len(raw) == keys.TAG_BYTES and keys.to_text(raw) == tag


def use(code: str, *, staff_id: int, now: datetime) -> int:
    """Use a code up, in the scan's transaction; answers the member's id."""
    card_no, nonce = read(code, now=now)
    with atomic() as transaction:
        holder = sa.func.coalesce(Merge.holder_id, Member.id)  # of a card that was merged away
        query = (
            sa.select(holder)
            .select_from(Member)
            .outerjoin(Merge, Merge.from_member_id == Member.id)
        )
        member_id = transaction.execute(query.where(Member.card_no == card_no)).scalar()
        if member_id is None:
            raise NotFound()
        used = transaction.execute(
            insert(MemberCodeUse)
            .values(nonce=nonce, member_id=member_id, staff_id=staff_id, used_at=now)
            .on_conflict_do_nothing()
            .returning(MemberCodeUse.nonce)
        ).scalar()
        if used is None:
            raise CodeUsed()
    return int(member_id)


def forget_uses(*, now: datetime) -> None:
    """Drop codes used long ago; they have expired anyhow."""
    with atomic() as transaction:
        transaction.execute(sa.delete(MemberCodeUse).where(MemberCodeUse.used_at < now - USES_KEPT))
