"""Redemptions: points traded for rewards, and the trade taken back."""

from mall.redemptions.cancel import cancel, tell_gate
from mall.redemptions.redeem import MAX_QUANTITY, ROUTE, Request, redeem, redeem_many

__all__ = ["MAX_QUANTITY", "ROUTE", "Request", "cancel", "redeem", "redeem_many", "tell_gate"]
