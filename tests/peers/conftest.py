"""What the tests of the blueprints have, these need too."""

from tests.blueprints.conftest import at_once, redeem

__all__ = ["at_once", "redeem"]
