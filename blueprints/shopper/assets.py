"""Everything a member has."""

from flask import g

from blueprints.contract import Blueprint
from blueprints.shapes import AssetsOut
from mall import assets, clock

bp = Blueprint("assets", __name__, description="Everything I have")


@bp.get("/me/assets")
@bp.response(200, AssetsOut())
def show_assets():
    """My points, growth and vouchers, as their ledgers add up."""
    return assets.assets(g.member_id, now=clock.now())
