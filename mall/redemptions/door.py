"""The door: requests are looked over by reading alone, then passed by the gates of their rewards."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from mall import idempotency, rewards, store_stock, tiers
from mall.errors import AddressNeeded, AddressNotNeeded, NotFound, PaymentNeeded, StoreNeeded
from mall.redemptions.gate import (
    Entry,
    Request,
    Ticket,
    by_reward,
    pass_gate,
    period_of,
    release,
)
from mall.rewards import Offer
from mall.store_stock import Place
from models import Account, Store, db

MAX_QUANTITY = 99


def enter_many(requests: Sequence[Request], *, now: datetime) -> list[Entry]:
    """Look requests over and pass them by the gates: a ticket for each that may go on.

    Who holds one must go on to `commit_many`, or `release` it; else it lasts as long as its lease.
    """
    assert all(1 <= request.quantity <= MAX_QUANTITY for request in requests)
    on_offer = rewards.on_offer(request.reward_id for request in requests)
    entries: dict[Request, Entry] = {}
    for request in requests:
        refusal = _look_over(request, on_offer, now)
        if refusal is not None:
            entries[request] = refusal
    entries |= _sold_out_at_stores([each for each in requests if each not in entries], on_offer)
    for reward_id, group in by_reward(each for each in requests if each not in entries).items():
        reward = on_offer[reward_id]
        entries |= pass_gate(reward, group, period_of(reward, now))
    return _unless_answered(requests, entries)


def _unless_answered(requests: Sequence[Request], entries: dict[Request, Entry]) -> list[Entry]:
    """Give whom a twin has overtaken the twin's answer: its unit may be what is missing."""
    refused = [each for each in requests if isinstance(entries[each], Exception)]
    try:
        stored = idempotency.find_many([each.key for each in refused])
    except Exception:
        release(each for each in entries.values() if isinstance(each, Ticket))
        raise
    entries |= {each: found for each, found in zip(refused, stored, strict=True) if found}
    return [entries[each] for each in requests]


def _look_over(request: Request, on_offer: dict[int, Offer], now: datetime) -> Exception | None:
    """What can be refused by reading alone, before anybody waits for anything."""
    reward = on_offer.get(request.reward_id)
    if reward is None:
        return NotFound()
    try:
        rewards.check_open(reward, now=now, early=_early(request.member_id, reward, now))
    except Exception as refusal:
        return refusal
    if reward.price_fen:
        return PaymentNeeded(price_fen=reward.price_fen)
    if reward.kind == "delivery" and not request.address:
        return AddressNeeded()
    if reward.kind != "delivery" and request.address:
        return AddressNotNeeded()
    if reward.stock_by_store and request.store_id is None:
        return StoreNeeded()
    if request.store_id is not None and db.session.get(Store, request.store_id) is None:
        return NotFound()
    return None


def _early(member_id: int, reward: Offer, now: datetime) -> timedelta:
    """How much before others somebody may have a reward; asked only where it is not open to all."""
    if reward.opens_at is None or now >= reward.opens_at:
        return timedelta(0)
    tier_code = db.session.scalar(
        sa.select(Account.tier_code).where(Account.member_id == member_id)
    )
    return tiers.benefits(tier_code).early if tier_code else timedelta(0)


def _sold_out_at_stores(
    requests: Sequence[Request], on_offer: dict[int, Offer]
) -> dict[Request, Entry]:
    """Refuse what a store can't have, before it holds units of other stores at the gate.

    The gate knows only how many all stores have; the store's row decides in the end.
    """
    places = {request: place_of(request, on_offer[request.reward_id]) for request in requests}
    left = store_stock.left_at(filter(None, places.values()))
    refused: dict[Request, Entry] = {}
    for request, place in places.items():
        if place is None:
            continue
        if left[place] < request.quantity:
            refused[request] = store_stock.sold_out(place, left[place], request.quantity)
        else:
            left[place] -= request.quantity  # as long as it stands here, it is held for them
    return refused


def place_of(request: Request, reward: Offer) -> Place | None:
    """Where its units lie, if the reward is stocked by store."""
    store_id = request.store_id
    return (reward.id, store_id) if reward.stock_by_store and store_id else None
