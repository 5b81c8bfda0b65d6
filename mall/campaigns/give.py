"""The giving: a bounded batch at a time, each member once, wherever it was stopped before."""

from datetime import datetime

import sqlalchemy as sa

from mall import points
from mall.atomic import atomic
from mall.points import Book, Cause
from models import CampaignMember, PointsCampaign
from models.base import table_of
from models.points import MAX_BALANCE_POINTS

GIVEN_AT_ONCE = 500
KIND = "campaign"
_chosen, _campaigns = table_of(CampaignMember), table_of(PointsCampaign)


def give_batch(*, now: datetime) -> int:
    """Give the next members of the oldest running campaign their points; answers how many are done."""
    running = sa.select(_campaigns).where(_campaigns.c.state == "running")
    with atomic() as transaction:
        campaign = transaction.execute(running.order_by(_campaigns.c.id).limit(1)).one_or_none()
        if campaign is None:
            return 0
        waiting = sa.select(_chosen.c.member_id).where(
            _chosen.c.campaign_id == campaign.id, _chosen.c.state == "waiting"
        )
        page = waiting.order_by(_chosen.c.member_id).limit(GIVEN_AT_ONCE)
        members = set(transaction.execute(page).scalars())
        book = points.open_book(members, now=now)
        able = {each for each in members if _can_take(book, each, campaign.points)}
        given = _claim(campaign.id, able, "given")
        skipped = _claim(campaign.id, members - able, "skipped")
        for member_id in sorted(given):
            ref, actor = f"{campaign.id}:{member_id}", f"staff:{campaign.run_by}"
            cause = Cause(KIND, "campaign", ref, actor, reason=campaign.name)
            book.earn(member_id, campaign.points, cause)
        book.write()
        _count(campaign.id, len(given), len(skipped), now)
    return len(given) + len(skipped)


def _can_take(book: Book, member_id: int, amount: int) -> bool:
    """Whoever closed their account meanwhile, or has as much as one may have, is passed over."""
    account = book.account(member_id)
    return account.state != "closed" and account.balance_points + amount <= MAX_BALANCE_POINTS


def _claim(campaign_id: int, members: set[int], state: str) -> set[int]:
    """Turn members who wait; only whoever turns one may give to them."""
    if not members:
        return set()
    with atomic() as transaction:
        turned = transaction.execute(
            sa.update(_chosen)
            .where(
                _chosen.c.campaign_id == campaign_id,
                _chosen.c.member_id.in_(members),
                _chosen.c.state == "waiting",
            )
            .values(state=state)
            .returning(_chosen.c.member_id)
        )
        return set(turned.scalars())


def _count(campaign_id: int, given: int, skipped: int, now: datetime) -> None:
    """Add to what is done; the campaign is over when nobody waits any more."""
    table = _campaigns
    waits = sa.exists().where(_chosen.c.campaign_id == campaign_id, _chosen.c.state == "waiting")
    with atomic() as transaction:
        transaction.execute(
            sa.update(table)
            .where(table.c.id == campaign_id)
            .values(
                members_given=table.c.members_given + given,
                members_skipped=table.c.members_skipped + skipped,
            )
        )
        transaction.execute(
            sa.update(table)
            .where(table.c.id == campaign_id, table.c.state == "running", ~waits)
            .values(state="done", finished_at=now)
        )
