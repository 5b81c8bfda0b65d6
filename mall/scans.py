"""Scans: a code at a till becomes a member's summary or a voucher's face."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, codes, members, phones, points, tokens, vouchers
from mall.atomic import atomic
from mall.errors import CodeInvalid, MemberClosed, NotFound
from mall.idempotency import Answer, Key
from models import Account, Member, Staff, Tier, db

NOTHING = {"member": None, "scan_token": None, "voucher": None}


def scan(code: str, *, clerk: Staff, key: Key, now: datetime) -> Answer:
    """Read a member code (and use it up), a card number or a voucher code."""
    if code.startswith(codes.PREFIX + "."):
        with atomic():
            key.claim(now=now)
            member_id = codes.use(code, staff_id=clerk.id, now=now)
            return key.store(200, _member(member_id, clerk, now))
    if members.looks_like_card_no(code):
        member_id = _of_card(code)
        with atomic():
            key.claim(now=now)
            return key.store(200, _member(member_id, clerk, now))
    return _voucher(code, clerk, key, now)


def _of_card(card_no: str) -> int:
    member_id = members.holder(Member.card_no == card_no)
    if member_id is None:
        raise NotFound()
    return member_id


def _voucher(code: str, clerk: Staff, key: Key, now: datetime) -> Answer:
    if vouchers.plain(code) is None:
        raise CodeInvalid()
    voucher = vouchers.find(code, clerk=clerk, now=now)
    shown = vouchers.view(voucher, now=now)
    with atomic():
        key.claim(now=now)
        return key.store(200, {**NOTHING, "kind": "voucher", "voucher": shown})


def _member(member_id: int, clerk: Staff, now: datetime) -> dict[str, Any]:
    query = (
        sa.select(Member, Account, Tier)
        .join(Account, Account.member_id == Member.id)
        .join(Tier, Tier.code == Account.tier_code)
        .where(Member.id == member_id)
    )
    member, account, tier = db.session.execute(query).one()
    if account.state == "closed":
        raise MemberClosed()
    usable = db.session.scalars(vouchers.usable(member_id, now=now))
    return {
        **NOTHING,
        "kind": "member",
        "member": {
            "id": member.id,
            "nickname": member.nickname,
            "phone_masked": phones.masked(member),
            "tier": {"code": tier.code, "name": tier.name},
            "points": account.balance_points - points.due_points(member_id, now=now),
            "usable_vouchers": [
                {
                    "id": voucher.id,
                    "title": voucher.title,
                    "quantity": voucher.quantity,
                    "expires_at": clock.rfc3339(voucher.expires_at),
                }
                for voucher in usable
            ],
        },
        "scan_token": tokens.for_scan(member_id, staff_id=clerk.id, now=now),
    }
