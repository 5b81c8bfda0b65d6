"""Check-ins: sign in once a business day, make up a day that was missed, keep streaks fair."""

from mall.checkins.ladder import Ladder, Step, in_force, publish, rules_of
from mall.checkins.make_ups import make_up
from mall.checkins.month import calendar, forget, recent
from mall.checkins.outages import declare, repair
from mall.checkins.sign import check_in

__all__ = [
    "Ladder",
    "Step",
    "calendar",
    "check_in",
    "declare",
    "forget",
    "in_force",
    "make_up",
    "publish",
    "recent",
    "repair",
    "rules_of",
]
