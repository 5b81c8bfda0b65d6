"""For those who stand at a store's till."""

from blueprints.auth import clerks_only
from blueprints.clerk import actions, benefits, payments, purchases, refunds, scans, vouchers
from blueprints.contract import Blueprint

bp = Blueprint("clerk", __name__, url_prefix="/api/v1/clerk", description="The till")
bp.before_request(clerks_only)
for child in (scans, purchases, refunds, vouchers, actions, payments, benefits):
    bp.register_blueprint(child.bp)
