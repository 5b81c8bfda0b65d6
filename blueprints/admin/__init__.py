"""For those who run the mall."""

from blueprints.admin import (
    adjustments,
    bundles,
    checkins,
    earning,
    holds,
    imports,
    jobs,
    ledger,
    members,
    redemptions,
    rewards,
    settings,
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
    earning,
    tiers,
    jobs,
):
    bp.register_blueprint(child.bp)
