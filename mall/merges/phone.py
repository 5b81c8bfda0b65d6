"""A phone confirmed: where it is an imported member's, that one is this shopper."""

from datetime import datetime

import sqlalchemy as sa

from mall import members, phones, profiles
from mall.atomic import atomic
from mall.errors import MallError, PhoneTaken
from mall.events import ProfileChanged, record
from mall.idempotency import Answer, Key
from mall.merges.verb import merge_locked
from models import Account, Member, db

REASON = "手机号验证：同一手机号的导入会员"


def bind_phone(member_id: int, phone: str, *, key: Key, now: datetime) -> Answer:
    """Give a member the phone that WeChat vouched for.

    A member of a file or another system who has that phone, and never came through WeChat, becomes
    part of this one. A phone of somebody who did come through WeChat stays refused.
    """
    with atomic():
        key.claim(now=now)
        phone = phones.normal(phone)
        twin = _unclaimed(phone, member_id)
        if twin is not None:
            try:
                merge_locked(member_id, twin, REASON, actor=f"member:{member_id}", now=now)
            except MallError as refusal:  # frozen or closed: a person has to look at it
                raise PhoneTaken() from refusal
            _let_go(twin)
        members.bind_phone(member_id, phone)
        member = db.session.get_one(Member, member_id, populate_existing=True)
        record(ProfileChanged(member_id, profiles.completeness_percent(member)), now=now)
        return key.store(200, {"phone_masked": phones.mask(phone)})


def _unclaimed(phone: str, member_id: int) -> int | None:
    """Who has a phone but no WeChat: nobody can log in as that one."""
    query = (
        sa.select(Member.id)
        .join(Account, Account.member_id == Member.id)
        .where(
            phones.is_any_of(phones.spellings(phone)),
            Member.id != member_id,
            Member.openid.is_(None),
            Account.state == "open",
        )
    )
    with atomic() as transaction:
        return transaction.execute(query).scalar()


def _let_go(member_id: int) -> None:
    """The number of somebody who is no member by themselves any more is free."""
    with atomic() as transaction:
        transaction.execute(
            sa.update(Member).where(Member.id == member_id).values(**phones.columns(None))
        )
