"""For shoppers."""

from blueprints.auth import shopper_only
from blueprints.contract import Blueprint
from blueprints.shopper import (
    assets,
    checkins,
    gifts,
    members,
    messages,
    points,
    privacy,
    purchases,
    redemptions,
    referrals,
    reviews,
    rewards,
    tasks,
    tiers,
    transfers,
)

bp = Blueprint("shopper", __name__, url_prefix="/api/v1", description="The mini-program")
bp.before_request(shopper_only)
for child in (
    members,
    points,
    checkins,
    rewards,
    redemptions,
    referrals,
    transfers,
    gifts,
    assets,
    purchases,
    tiers,
    messages,
    tasks,
    reviews,
    privacy,
):
    bp.register_blueprint(child.bp)
