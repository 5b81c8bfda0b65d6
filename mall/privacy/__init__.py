"""Personal data: what members agreed to, a copy of all there is, and being forgotten."""

from mall.privacy.close import close, preview
from mall.privacy.consents import (
    consent,
    in_force,
    policies,
    policy_view,
    publish,
    said_by,
)
from mall.privacy.export import copy_of

__all__ = [
    "close",
    "consent",
    "copy_of",
    "in_force",
    "policies",
    "policy_view",
    "preview",
    "publish",
    "said_by",
]
