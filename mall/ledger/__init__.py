"""The ledger's own proof, and what happens when it fails."""

from mall.ledger.alarms import clear, open_alarms, prove
from mall.ledger.proof import trial_balance, verify

__all__ = ["clear", "open_alarms", "prove", "trial_balance", "verify"]
