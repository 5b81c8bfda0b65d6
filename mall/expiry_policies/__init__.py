"""How long points live: policies with versions, and what a draft would mean."""

from mall.expiry_policies.policies import Life, Policies, in_force, publish, view
from mall.expiry_policies.preview import preview
from mall.expiry_policies.terms import ACTS, Terms

__all__ = ["ACTS", "Life", "Policies", "Terms", "in_force", "preview", "publish", "view"]
