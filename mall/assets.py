"""Assets: what a member has, in one view; each figure is what its ledger adds up to."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, points, tiers
from mall.vouchers import usable
from models import Account, Lot, Tier, Voucher, db


def assets(member_id: int, *, now: datetime) -> dict[str, Any]:
    """Points, growth and vouchers of a member; what is past its end is not counted."""
    account = db.session.get_one(Account, member_id)
    ladder = tiers.ladder()
    following = tiers.above(ladder, account.growth_value)
    return {
        "points": _points(account, now),
        "growth": {
            "value": account.growth_value,
            "tier": db.session.get_one(Tier, account.tier_code),
            "next_tier": following,
            "to_next": following.growth_min - account.growth_value if following else None,
        },
        "vouchers": _vouchers(member_id, now),
    }


def _points(account: Account, now: datetime) -> dict[str, Any]:
    query = sa.select(Lot.expires_at, Lot.points_left).where(
        Lot.member_id == account.member_id,
        Lot.points_left > 0,
        sa.or_(Lot.expires_at.is_(None), Lot.expires_at > now),
    )
    lots = db.session.execute(query).all()
    return {
        "available": account.balance_points - points.due_points(account.member_id, now=now),
        "pending": account.pending_points,
        "held": account.held_points,
        "debt": account.debt_points,
        "expiring": [
            {"points": left, "expires_on": clock.last_day_before(at).isoformat()}
            for at, left in points.expiring((row.expires_at, row.points_left) for row in lots)
        ],
    }


def _vouchers(member_id: int, now: datetime) -> dict[str, Any]:
    columns = (sa.func.count(Voucher.id), sa.func.coalesce(sa.func.sum(Voucher.quantity), 0))
    query = usable(member_id, now=now).with_only_columns(*columns).order_by(None)
    vouchers, units = db.session.execute(query).one()
    return {"usable": vouchers, "units": units}
