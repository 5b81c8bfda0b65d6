"""Log in with WeChat; whoever comes for the first time joins."""

from datetime import datetime

import sqlalchemy as sa

from mall import members, profiles, referrals, tiers, tokens
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
    key: Key,
    now: datetime,
) -> Answer:
    """Open a session for the member whom WeChat names, who joins now if never seen before."""
    with atomic():
        key.claim(now=now)
        known = members.id_of(appid=who.appid, openid=who.openid)
        joined = None if known else _join(who, invite_code, channel_code, now)
        member_id = known or joined or _twin(who)
        state = db.session.scalar(sa.select(Account.state).where(Account.member_id == member_id))
        if state == "closed":
            raise MemberClosed()
        token, lasts_s = tokens.for_shopper(member_id, now=now)
        return key.store(
            200,
            {
                "access_token": token,
                "expires_in_s": lasts_s,
                "joined": joined is not None,
                "member": profiles.view(members.find(member_id)),
            },
        )


def _join(
    who: Identity, invite_code: str | None, channel_code: str | None, now: datetime
) -> int | None:
    """Make a member, with the referrer and channel for life; None where a twin was first."""
    person = {
        "appid": who.appid,
        "openid": who.openid,
        "unionid": who.unionid,
        "channel_code": channel_code,
    }
    joined = members.join_many([person], tier_code=tiers.BASE, now=now)
    member_id = joined.get((who.appid, who.openid))
    if member_id is not None and invite_code:
        referrals.bind(member_id, invite_code, now=now)
    return member_id


def _twin(who: Identity) -> int:
    member_id = members.id_of(appid=who.appid, openid=who.openid)
    if member_id is None:
        raise Unavailable()
    return member_id
