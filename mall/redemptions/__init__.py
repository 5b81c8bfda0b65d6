"""Redemptions: points traded for rewards, and the trade taken back."""

from mall.redemptions.cancel import cancel, take_back, tell_gate
from mall.redemptions.door import MAX_QUANTITY
from mall.redemptions.gate import Request
from mall.redemptions.redeem import ROUTE, redeem, redeem_many
from mall.redemptions.ship import office_view, ship
from mall.redemptions.together import redeem_together

__all__ = [
    "MAX_QUANTITY",
    "ROUTE",
    "Request",
    "cancel",
    "redeem",
    "office_view",
    "redeem_many",
    "redeem_together",
    "ship",
    "take_back",
    "tell_gate",
]
