"""Points as cash: rules with versions, paying a bill, giving back to the very lots."""

from mall.payments.give_back import cancel, give_back, pay_again
from mall.payments.pay import Bill, pay
from mall.payments.rules import in_force, publish, view

__all__ = ["Bill", "cancel", "give_back", "in_force", "pay", "pay_again", "publish", "view"]
