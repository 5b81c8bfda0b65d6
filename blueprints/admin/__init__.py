"""For those who run the mall."""

from blueprints.admin import (
    adjustments,
    audit,
    bundles,
    campaigns,
    channels,
    checkins,
    earning,
    expiry,
    holds,
    imports,
    jobs,
    ledger,
    members,
    merges,
    messages,
    payments,
    profiles,
    purchases,
    redemptions,
    referrals,
    reviews,
    rewards,
    settings,
    staff,
    tasks,
    tiers,
)
from blueprints.auth import admins_only
from blueprints.contract import Blueprint

bp = Blueprint("admin", __name__, url_prefix="/api/v1/admin", description="The console")
bp.before_request(admins_only)
for child in (
    rewards,
    redemptions,
    members,
    adjustments,
    holds,
    imports,
    ledger,
    settings,
    checkins,
    bundles,
    merges,
    profiles,
    purchases,
    campaigns,
    earning,
    expiry,
    payments,
    tiers,
    messages,
    tasks,
    reviews,
    referrals,
    channels,
    jobs,
    audit,
    staff,
):
    bp.register_blueprint(child.bp)
