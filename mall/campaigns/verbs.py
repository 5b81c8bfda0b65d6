"""Draft, preview, run: whom it gives to is taken down at the preview, and a run gives to those."""

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from mall import clock, shop
from mall.atomic import atomic
from mall.errors import (
    AlreadyReviewed,
    NobodyChosen,
    NotFound,
    NotPreviewed,
    OverBudget,
    ReviewerIsAuthor,
)
from mall.idempotency import Answer, Key
from mall.segments import audience
from models import CampaignMember, PointsCampaign, db
from models.base import insert, table_of

DRAFTS = ("draft", "previewed")
_table = table_of(PointsCampaign)


def view(campaign: PointsCampaign) -> dict[str, Any]:
    """A campaign as shown, with what it costs by the shop's own price of a point."""
    names = (
        *("id", "name", "filters", "points", "budget_points", "state", "members", "cost_points"),
        *("members_given", "members_skipped", "drafted_by", "run_by", "reviewed_by"),
    )
    stamps = ("drafted_at", "previewed_at", "finished_at")
    moments = {name: getattr(campaign, name) for name in stamps}
    return {
        **{name: getattr(campaign, name) for name in names},
        **{name: clock.rfc3339(at) if at else None for name, at in moments.items()},
        "cost_fen": campaign.cost_points * shop.setting("point_cost_fen_per_100") // 100,
        "points_given": campaign.members_given * campaign.points,
        "needs_second_person": _waits(campaign.cost_points),
    }


def _waits(cost_points: int) -> bool:
    limit: int = shop.setting("adjustment_limit_points")
    return cost_points > limit


def draft(values: dict[str, Any], *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Write a campaign down; nobody gets anything yet."""
    filters = {
        name: value.isoformat() if isinstance(value, date) else value
        for name, value in values["filters"].items()
    }
    with atomic():
        key.claim(now=now)
        campaign = PointsCampaign(**{**values, "filters": filters})
        campaign.state, campaign.drafted_by, campaign.drafted_at = "draft", staff_id, now
        campaign.members = campaign.members_given = campaign.members_skipped = 0
        campaign.cost_points = 0
        db.session.add(campaign)
        db.session.flush()
        return key.store(201, view(campaign))


def preview(campaign_id: int, *, key: Key, now: datetime) -> Answer:
    """Take down who would be given points and what it costs; again as often as is wanted."""
    chosen = table_of(CampaignMember)
    with atomic() as transaction:
        key.claim(now=now)
        _turn(campaign_id, DRAFTS, state="previewed", previewed_at=now)
        campaign = _find(campaign_id)
        transaction.execute(sa.delete(chosen).where(chosen.c.campaign_id == campaign_id))
        who = audience(campaign.filters).add_columns(sa.literal(campaign_id), sa.literal("waiting"))
        names = ["member_id", "campaign_id", "state"]
        transaction.execute(insert(CampaignMember).from_select(names, who))
        counted = sa.select(sa.func.count()).where(chosen.c.campaign_id == campaign_id)
        members = transaction.execute(counted).scalar_one()
        cost = members * campaign.points
        _turn(campaign_id, ("previewed",), members=members, cost_points=cost)
        return key.store(200, view(_find(campaign_id)))


def run(campaign_id: int, *, staff_id: int, key: Key, now: datetime) -> Answer:
    """Let a previewed campaign give, 200; above the shop's limit it waits for a second admin, 202."""
    with atomic():
        key.claim(now=now)
        campaign = _find(campaign_id)
        if campaign.state != "previewed":
            raise NotPreviewed(state=campaign.state)
        if not campaign.members:
            raise NobodyChosen()
        over = campaign.cost_points - campaign.budget_points
        if over > 0:
            figures = {"members": campaign.members, "cost_points": campaign.cost_points}
            raise OverBudget(**figures, short_by=over)
        waits = _waits(campaign.cost_points)
        _turn(
            campaign_id,
            ("previewed",),
            cost_points=campaign.cost_points,
            state="pending" if waits else "running",
            run_by=staff_id,
        )
        return key.store(202 if waits else 200, view(_find(campaign_id)))


def review(campaign_id: int, *, approved: bool, staff_id: int, key: Key, now: datetime) -> Answer:
    """Decide a campaign that waits; nobody decides what they asked for."""
    with atomic():
        key.claim(now=now)
        campaign = _find(campaign_id)
        if campaign.run_by == staff_id:
            raise ReviewerIsAuthor()
        if campaign.state != "pending":
            raise AlreadyReviewed()
        state = "running" if approved else "rejected"
        _turn(campaign_id, ("pending",), state=state, reviewed_by=staff_id, reviewed_at=now)
        return key.store(200, view(_find(campaign_id)))


def _find(campaign_id: int) -> PointsCampaign:
    """The campaign, under its row's lock."""
    query = sa.select(PointsCampaign).where(PointsCampaign.id == campaign_id).with_for_update()
    found = db.session.scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise NotFound()
    return found


def _turn(campaign_id: int, states: tuple[str, ...], **values: Any) -> None:
    """Change a campaign that is in one of some states; only whoever turns it may act on it."""
    with atomic() as transaction:
        turned = transaction.execute(
            sa.update(_table)
            .where(_table.c.id == campaign_id, _table.c.state.in_(states))
            .values(**values)
        )
        if turned.rowcount == 0:
            query = sa.select(_table.c.state).where(_table.c.id == campaign_id)
            state = transaction.execute(query).scalar()
            raise NotFound() if state is None else NotPreviewed(state=state)
