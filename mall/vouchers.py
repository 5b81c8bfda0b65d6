"""Vouchers: a code that is shown once and good for one hand-over.

The code is base32 (Crockford's alphabet) of 80 bits of HMAC-SHA256 over a random nonce, and a
check character. It is derived anew for its owner and kept nowhere: the row holds the nonce and,
for the look-up, an HMAC of the code under another key.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mall import actions, clock, keys, shop, staff
from mall.atomic import atomic
from mall.errors import (
    NotFound,
    VoucherExpired,
    VoucherLocked,
    VoucherUsed,
    VoucherVoid,
)
from mall.events import VoucherUsed as VoucherUsedFact
from mall.events import record
from mall.idempotency import Answer, Key
from models import Redemption, Reward, Staff, Store, Voucher, db
from models.base import insert

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32
LOOKALIKES = str.maketrans("OIL", "011", "- ")
EXPIRED_AT_ONCE = 500
CODE_CHARACTERS = 16  # 80 bits
PLACEHOLDER = re.compile(rb'"voucher-code:([A-Za-z0-9]{1,8}):([0-9a-f]{32})"')


@dataclass(frozen=True)
class Issue:
    """A voucher to be made."""

    member_id: int
    redemption_id: int
    title: str
    quantity: int
    store_id: int | None
    lasts_days: int


def _check_character(code: str) -> str:
    """One character over the rest: a weighted sum, so that swapped neighbours are seen too.

    It does not tell 0 from Z, 31 apart; such a code simply finds no voucher.
    """
    total = sum(place * ALPHABET.index(letter) for place, letter in enumerate(code, start=1))
    return ALPHABET[total % 31]


def _derive(nonce: str, name: str) -> str:
    raw = keys.digest("voucher code", name, nonce.encode())
    assert raw is not None, f"the key ring has lost {name}"
    number = int.from_bytes(raw[:10], "big")
    code = "".join(ALPHABET[number >> shift & 31] for shift in range(75, -5, -5))
    return code + _check_character(code)


def _look_up_hmac(code: str, name: str) -> str:
    """What the row keeps of a code, under a key of the ring."""
    raw = keys.digest("voucher look-up", name, code.encode())
    assert raw is not None, f"the key ring has lost {name}"
    return raw.hex()


def plain(text: str) -> str | None:
    """A typed or scanned code in its one spelling; None where it can't be a voucher code."""
    code = text.upper().translate(LOOKALIKES)
    letters = len(code) == CODE_CHARACTERS + 1 and set(code) <= set(ALPHABET)
    return code if letters and _check_character(code[:-1]) == code[-1] else None


def code_of(voucher: Any) -> str:
    """The code of a voucher, for its owner's eyes, in groups of four."""
    return _grouped(_derive(voucher.nonce, voucher.key_name))


def _grouped(code: str) -> str:
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def issue_many(issues: Sequence[Issue], *, now: datetime) -> list[tuple[str, datetime]]:
    """Make vouchers; answers (placeholder of the code, expires_at) of each, in order."""
    name = keys.signing_name()
    rows = [_row(each, name, now) for each in issues]
    with atomic() as transaction:
        transaction.execute(insert(Voucher), rows)
    return [(placeholder(name, row["nonce"]), row["expires_at"]) for row in rows]


def _row(each: Issue, name: str, now: datetime) -> dict[str, Any]:
    nonce = secrets.token_hex(16)
    last_day = clock.business_day(now + timedelta(days=each.lasts_days))
    return {
        "member_id": each.member_id,
        "redemption_id": each.redemption_id,
        "title": each.title,
        "quantity": each.quantity,
        "state": "issued",
        "key_name": name,
        "nonce": nonce,
        "code_hmac": _look_up_hmac(_derive(nonce, name), name),
        "store_id": each.store_id,
        "expires_at": clock.end_of_day(last_day),
        "created_at": now,
    }


def placeholder(key_name: str, nonce: str) -> str:
    """What a stored answer holds in a code's place; `reveal` fills it in for the owner."""
    return f"voucher-code:{key_name}:{nonce}"


def reveal(body: bytes) -> bytes:
    """An answer with its codes filled in.

    It asks no database: the redemption stands by now, and nothing may turn its answer into another.
    """

    def code(match: re.Match[bytes]) -> bytes:
        key_name, nonce = match[1].decode(), match[2].decode()
        return f'"{_grouped(_derive(nonce, key_name))}"'.encode()

    return PLACEHOLDER.sub(code, body)


def usable(member_id: int, *, now: datetime) -> sa.Select[Any]:
    """A member's vouchers that can be handed over, the first to expire first."""
    return (
        sa.select(Voucher)
        .where(Voucher.member_id == member_id, Voucher.state == "issued", Voucher.expires_at > now)
        .order_by(Voucher.expires_at, Voucher.id)
    )


def state_of(voucher: Voucher, *, now: datetime) -> str:
    """The state to be shown: what is past its end has expired, whether or not a job has said so."""
    overdue = voucher.state == "issued" and voucher.expires_at <= now
    return "expired" if overdue else voucher.state


def view(voucher: Voucher, *, now: datetime) -> dict[str, Any]:
    """A voucher as shown at a till and to its owner; without the code."""
    used_store = db.session.get(Store, voucher.used_store_id) if voucher.used_store_id else None
    used_by = db.session.get(Staff, voucher.used_staff_id) if voucher.used_staff_id else None
    bound_to = db.session.get(Store, voucher.store_id) if voucher.store_id else None
    return {
        "id": voucher.id,
        "title": voucher.title,
        "quantity": voucher.quantity,
        "state": state_of(voucher, now=now),
        "expires_at": clock.rfc3339(voucher.expires_at),
        "redemption_id": voucher.redemption_id,
        "store": bound_to.name if bound_to else None,
        "used_at": clock.rfc3339(voucher.used_at) if voucher.used_at else None,
        "used_store": used_store.name if used_store else None,
        "used_by": used_by.name if used_by else None,
    }


def find(text: str, *, clerk: Staff, now: datetime) -> Voucher:
    """The voucher of a code, if this clerk's store may hand it over; ten wrong codes lock for a while."""
    subject = f"staff:{clerk.id}"
    if staff.failures("voucher", subject, since=now - staff.CODE_WINDOW) >= staff.WRONG_CODES:
        raise VoucherLocked()
    code = plain(text)
    hmacs = [_look_up_hmac(code, name) for name in keys.ring()] if code else []
    query = sa.select(Voucher).where(Voucher.code_hmac.in_(hmacs))
    voucher = db.session.scalar(query.execution_options(populate_existing=True))
    if voucher is None or not _hands_over(clerk, voucher):
        staff.fail("voucher", subject, now=now)
        raise NotFound()
    return voucher


def _hands_over(clerk: Staff, voucher: Voucher) -> bool:
    """Whether it may be had at this clerk's store: it is bound to none, to this one, or all may.

    A unit that lies in another store's own stock is had only there.
    """
    if voucher.store_id in (None, clerk.store_id):
        return True
    if not shop.setting("vouchers_at_any_store"):
        return False
    lies_there = (
        sa.select(Reward.stock_by_store)
        .join(Redemption, Redemption.reward_id == Reward.id)
        .where(Redemption.id == voucher.redemption_id)
    )
    return not db.session.scalar(lies_there)


def use(text: str, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Hand over what a voucher stands for: once, at its store, before it expires."""
    voucher_id = find(text, clerk=clerk, now=now).id
    with atomic() as transaction:
        key.claim(now=now)
        used = transaction.execute(
            sa.update(Voucher)
            .where(Voucher.id == voucher_id, Voucher.state == "issued", Voucher.expires_at > now)
            .values(state="used", used_at=now, used_store_id=clerk.store_id, used_staff_id=clerk.id)
        )
        voucher = db.session.get(Voucher, voucher_id, populate_existing=True)
        assert voucher is not None
        if used.rowcount == 0:
            raise _why_not(voucher, now)
        transaction.execute(
            sa.update(Redemption)
            .where(Redemption.id == voucher.redemption_id, Redemption.state == "issued")
            .values(state="used")
        )
        assert clerk.store_id is not None
        record(VoucherUsedFact(voucher.member_id, voucher.id, clerk.store_id), now=now)
        where = (voucher.member_id, clerk.store_id, clerk.id)
        action = actions.Action(actions.VOUCHER_USE, voucher.id, *where, voucher.title)
        actions.note_many([action], now=now)
        hand_over = {"title": voucher.title, "quantity": voucher.quantity}
        return key.store(200, {"voucher": view(voucher, now=now), "hand_over": hand_over})


def _why_not(voucher: Voucher, now: datetime) -> Exception:
    if voucher.state == "void":
        return VoucherVoid()
    if voucher.state == "used":
        seen = view(voucher, now=now)
        return VoucherUsed(store=seen["used_store"], clerk=seen["used_by"], used_at=seen["used_at"])
    return VoucherExpired(expires_at=clock.rfc3339(voucher.expires_at))


def expire_due(*, now: datetime) -> int:
    """Mark a bounded batch of vouchers whose time has come, and their redemptions; answers how many."""
    due = (
        sa.select(Voucher.id)
        .where(Voucher.state == "issued", Voucher.expires_at <= now)
        .limit(EXPIRED_AT_ONCE)
    )
    with atomic() as transaction:
        expired = transaction.execute(
            sa.update(Voucher)
            .where(Voucher.id.in_(due), Voucher.state == "issued")
            .values(state="expired")
            .returning(Voucher.redemption_id)
        )
        redemption_ids = list(expired.scalars())
        transaction.execute(
            sa.update(Redemption)
            .where(Redemption.id.in_(redemption_ids), Redemption.state == "issued")
            .values(state="expired")
        )
    return len(redemption_ids)


def void(redemption_id: int, *, now: datetime) -> bool:
    """Make a redemption's voucher worthless; False where one is there that can't be used any more."""
    with atomic() as transaction:
        voided = transaction.execute(
            sa.update(Voucher)
            .where(
                Voucher.redemption_id == redemption_id,
                Voucher.state == "issued",
                Voucher.expires_at > now,
            )
            .values(state="void")
        )
        left = sa.select(Voucher.id).where(Voucher.redemption_id == redemption_id)
        return voided.rowcount == 1 or transaction.execute(left).first() is None
