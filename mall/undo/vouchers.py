"""A hand-over undone: the voucher can be used again."""

from datetime import timedelta

import sqlalchemy as sa

from mall import shop
from mall.atomic import atomic
from mall.undo.undoing import Undoing
from models import Redemption, Voucher
from models.base import table_of


def undo(undoing: Undoing) -> None:
    """Make a used voucher good again; one that is past its end by now lasts for the shop's grace."""
    table, trades = table_of(Voucher), table_of(Redemption)
    until = undoing.now + timedelta(days=shop.setting("give_back_grace_days"))
    lasts = sa.case((table.c.expires_at <= undoing.now, until), else_=table.c.expires_at)
    with atomic() as transaction:
        redemption_id = transaction.execute(
            sa.update(table)
            .where(table.c.id == undoing.ref_id, table.c.state == "used")
            .values(
                state="issued",
                used_at=None,
                used_store_id=None,
                used_staff_id=None,
                expires_at=lasts,
            )
            .returning(table.c.redemption_id)
        ).scalar_one()
        transaction.execute(
            sa.update(trades)
            .where(trades.c.id == redemption_id, trades.c.state == "used")
            .values(state="issued")
        )
