"""Bundles: points, growth and rewards given together, whole or not at all, once for one cause."""

from mall.bundles.give import ABSENT, CLOSED, GIVEN, KNOWN, SOLD_OUT, Gift, Given, give_many
from mall.bundles.rules import publish, view
from mall.bundles.take_back import take_back
from mall.bundles.units import tell_gate

__all__ = [
    "ABSENT",
    "CLOSED",
    "GIVEN",
    "KNOWN",
    "SOLD_OUT",
    "Gift",
    "Given",
    "give_many",
    "publish",
    "take_back",
    "tell_gate",
    "view",
]
