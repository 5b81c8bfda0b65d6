"""Attempts to redeem at a gate, those that die there and the reaper that comes for them."""

from mall import clock, gates, limits, redemptions
from mall.guards import stock
from models import Reward
from tests.mall.books import one


def redeem(request):
    return redemptions.redeem(request, now=clock.now())


def reap(reward):
    return gates.reap(reward, route=redemptions.ROUTE, now=clock.now())


def die_at_the_gate(request):
    """A worker that reserves and is never seen again."""
    asked = stock.Ask(request.member_id, request.token, request.quantity)
    epoch = one(Reward.epoch, Reward.id == request.reward_id)
    (verdict,) = stock.reserve_many(
        request.reward_id, [asked], epoch=epoch, limit=9, period=limits.EVER
    )
    assert verdict in (stock.Verdict.RESERVED, stock.Verdict.ADOPTED)
    return asked
