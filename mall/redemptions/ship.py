"""Send a redemption's parcel."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import addresses, clock
from mall.atomic import atomic
from mall.errors import AlreadyCancelled, NotDelivered, NotFound
from mall.events import RedemptionShipped, record
from mall.idempotency import Answer, Key
from models import Redemption, Reward, Voucher, db


def office_view(redemption: Redemption) -> dict[str, Any]:
    """A redemption as the mall's admins see it."""
    moments = {
        name: getattr(redemption, name) for name in ("created_at", "cancelled_at", "shipped_at")
    }
    same = ("id", "member_id", "reward_id", "quantity", "points_paid", "state", "store_id")
    also = ("carrier", "tracking_no")
    return {
        **{name: getattr(redemption, name) for name in same + also},
        **{name: clock.rfc3339(at) if at else None for name, at in moments.items()},
        "address": addresses.opened(redemption.address),
        "title": db.session.get_one(Reward, redemption.reward_id).title,
    }


def ship(redemption_id: int, parcel: dict[str, str], *, key: Key, now: datetime) -> Answer:
    """Note the carrier and number of a parcel; said again, it corrects them.

    The redemption itself says whether it is sent: it has an address and no voucher. What its
    reward is by now says nothing, and what a voucher fetches would be handed over twice.
    """
    with atomic() as transaction:
        key.claim(now=now)
        shipped = transaction.execute(
            sa.update(Redemption)
            .where(
                Redemption.id == redemption_id,
                Redemption.state.in_(("issued", "shipped")),
                sa.cast(Redemption.address, sa.Text) != "null",  # JSON's null is no SQL NULL
                ~sa.exists().where(Voucher.redemption_id == Redemption.id),
            )
            .values(**parcel, state="shipped", shipped_at=now)
        )
        found = db.session.get(Redemption, redemption_id, populate_existing=True)
        if found is None:
            raise NotFound()
        if shipped.rowcount == 0:
            raise AlreadyCancelled() if found.state == "cancelled" else NotDelivered()
        record(RedemptionShipped(found.member_id, found.id), now=now)
        return key.store(200, office_view(found))
