"""Log in with WeChat; whoever comes for the first time joins."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import channels, closed, members, profiles, referrals, tiers, tokens, touches
from mall.atomic import atomic
from mall.errors import MemberClosed, Unavailable
from mall.idempotency import Answer, Key
from mall.wechat import Identity
from models import Account, db


def log_in(
    who: Identity,
    *,
    invite_code: str | None = None,
    channel_code: str | None = None,
    device: str | None = None,
    address: str | None = None,
    key: Key,
    now: datetime,
) -> Answer:
    """Open a session for the member whom WeChat names, who joins now if never seen before.

    Who invited them and which channel brought them count then only, and keep nobody out.
    """
    with atomic():
        key.claim(now=now)
        visitors = touches.marks_of(device=device, openid=identity(who))
        known = members.id_of(appid=who.appid, openid=who.openid)
        if known is None:
            closed.check_join(identity(who), now=now)
        joined = None if known else _join(who, visitors, channel_code, now)
        member_id = known or joined or _twin(who)
        state = db.session.scalar(sa.select(Account.state).where(Account.member_id == member_id))
        if state == "closed":
            raise MemberClosed()
        new = joined is not None
        touches.see(member_id, device=device, address=address, joining=new, now=now)
        gift = channels.welcome(member_id, channel_code, now=now) if new else None
        invitation = _invitation(member_id, invite_code, visitors, new, now)
        token, lasts_s = tokens.for_shopper(member_id, now=now)
        return key.store(
            200,
            {
                "access_token": token,
                "expires_in_s": lasts_s,
                "joined": new,
                "invitation": invitation,
                "gift": gift,
                "member": profiles.view(members.find(member_id)),
            },
        )


def identity(who: Identity) -> str:
    """Who WeChat says somebody is, as one name."""
    return f"{who.appid}:{who.openid}"


def _invitation(
    member_id: int, invite_code: str | None, visitors: list[str], new: bool, now: datetime
) -> dict[str, Any] | None:
    if new:
        return referrals.invite(member_id, invite_code, visitors, now=now)
    return referrals.not_bound(member_id, invite_code) if invite_code else None


def _join(
    who: Identity, visitors: list[str], channel_code: str | None, now: datetime
) -> int | None:
    """Make a member, with the channel for life; None where a twin was first."""
    person = {
        "appid": who.appid,
        "openid": who.openid,
        "unionid": who.unionid,
        "channel_code": channels.first_of(visitors, channel_code),
    }
    joined = members.join_many([person], tier_code=tiers.BASE, now=now)
    return joined.get((who.appid, who.openid))


def _twin(who: Identity) -> int:
    member_id = members.id_of(appid=who.appid, openid=who.openid)
    if member_id is None:
        raise Unavailable()
    return member_id
