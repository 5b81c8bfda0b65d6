"""Makers: fixtures whose arguments are only what matters to a test."""

import base64
import itertools
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from flask import Flask

from mall import clock, expiry_policies, members, phones, points, referrals, rewards, shop
from mall.idempotency import Key
from mall.points import Cause
from models import ReferralRule, Reward, db

_count = itertools.count(1)


def a_key(member_id: int | None = None, text: str | None = "new", route: str = "") -> Key:
    made = secrets.token_hex(16) if text == "new" else text
    caller = f"member:{member_id}" if member_id else "staff:1"
    return Key(caller, route or "POST /api/v1/me/redemptions", made, "same")


def grant(member_id: int, amount: int, *, expires_at: datetime | None = None) -> None:
    """Give points as a lot of its own."""
    now = clock.now()
    book = points.open_book([member_id], now=now)
    cause = Cause("adjust", "adjustment", f"made-{next(_count)}", "system")
    book.grant(member_id, amount, cause, expires_at=expires_at or now + timedelta(days=365))
    book.write()


@pytest.fixture
def a_member(app: Flask):
    """Make a member; answers the id."""

    def make(*, points: int = 0, **columns: Any) -> int:
        number = next(_count)
        person = {"appid": "wxtest", "openid": f"o-made-{number}", **columns}
        if "phone" in columns:
            person |= phones.columns(columns["phone"])
        joined = members.join_many([person], tier_code="base", now=clock.now())
        member_id = next(iter(joined.values()))
        if points:
            from mall.atomic import atomic

            with atomic():
                grant(member_id, points)
        return member_id

    return make


@pytest.fixture
def a_reward(hired: dict[str, int]):
    """Put a reward on the shelf, with its stock."""

    def make(*, units: int = 10, **columns: Any) -> Reward:
        fields = {"title": f"礼品{next(_count)}", "kind": "pickup", "price_points": 100, **columns}
        reward = rewards.add(fields, now=clock.now())
        if units:
            move = {"quantity": units, "reason": "purchase", "note": "", "unit_cost_fen": None}
            who = hired["admin"]
            rewards.move_stock(reward.id, move, staff_id=who, key=a_key(), now=clock.now())
        db.session.refresh(reward)
        return reward

    return make


def points_live(by_tier: dict[str, Any] | None = None, **terms: Any) -> int:
    """Put terms of expiry in force, by default of a year; answers their version."""
    kept = terms or {"kind": "rolling", "lasts": 12, "unit": "month", "round_up_to": "month"}
    values = {"terms": kept, "by_tier": by_tier or {}, "remind_days": [30, 7, 1], "note": ""}
    key = a_key(route="POST /api/v1/admin/expiry-policies")
    answer = expiry_policies.publish(values, staff_id=None, key=key, now=clock.now())
    return int(json.loads(answer.body)["version"])


def points_last_months(months: int) -> int:
    """Points live so many months, to the month's end; 0: for ever."""
    if not months:
        return points_live(kind="never")
    return points_live(kind="rolling", lasts=months, unit="month", round_up_to="month")


def invitations_pay(**changes: Any) -> int:
    """Put a version of the referral rules in force, the newest with changes; answers its number.

    `purchase` and `join` may be pairs of points, (inviter's, friend's).
    """
    newest = db.session.scalars(sa.select(ReferralRule).order_by(ReferralRule.version.desc()))
    terms = json.loads(json.dumps(next(newest).terms))
    for name, value in changes.items():
        if isinstance(value, tuple):
            sides = zip(("inviter", "friend"), value, strict=True)
            value = {side: {"points": amount, "bundle": ""} for side, amount in sides}
        terms[name] = {**terms[name], **value} if isinstance(value, dict) else value
    key = a_key(route="POST /api/v1/admin/referral-rules")
    stamp = {"staff_id": None, "key": key, "now": clock.now()}
    answer = referrals.write(terms, note="", publish=True, **stamp)
    return int(json.loads(answer.body)["version"])


@pytest.fixture
def tune(app: Flask):
    return shop.tune


def otp(secret: str, off_s: int = 0) -> str:
    """The code that an authenticator app shows for a secret, now or some seconds from now."""
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    at = int(clock.now().timestamp()) + off_s
    return TOTP(raw, 6, SHA1(), 30, enforce_key_length=False).generate(at).decode()
