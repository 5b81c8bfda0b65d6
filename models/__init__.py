"""What is remembered: every model, and `db`."""

from models.alarms import Alarm, BalanceSettlement
from models.base import db
from models.benefits import Benefit, BenefitEntry
from models.bundles import Bundle, GivenBundle
from models.checkins import CheckIn, MilestonePaid, Outage
from models.debts import DebtEntry
from models.earning import EarningCounter, EarningRule
from models.events import Event, EventReaction, IdempotencyKey, MemberCodeUse
from models.gates import GateMark
from models.holds import Hold
from models.jobs import JobRun
from models.members import Member
from models.metrics import Tally
from models.points import Account, LedgerEntry, Lot, LotUse, PendingGrant, PointsAdjustment
from models.purchases import Purchase, Refund
from models.redemptions import Redemption
from models.referrals import CodeImage, Referral
from models.rewards import LimitCounter, Reward, StockMove
from models.shop import CheckInLadder, CheckInRule, SettingChange, ShopSetting, Store
from models.staff import Failure, Staff, StaffSession
from models.tier_rules import (
    GrowthCount,
    TierGrant,
    TierPerks,
    TierQuota,
    TierRule,
    TierStanding,
)
from models.tiers import GrowthEntry, Tier, TierChange
from models.transfers import Transfer
from models.vouchers import Voucher

__all__ = [
    "Account",
    "Alarm",
    "BalanceSettlement",
    "Benefit",
    "BenefitEntry",
    "Bundle",
    "CheckIn",
    "CheckInLadder",
    "CheckInRule",
    "CodeImage",
    "DebtEntry",
    "EarningCounter",
    "EarningRule",
    "Event",
    "EventReaction",
    "Failure",
    "GateMark",
    "GivenBundle",
    "GrowthCount",
    "GrowthEntry",
    "Hold",
    "IdempotencyKey",
    "JobRun",
    "LedgerEntry",
    "LimitCounter",
    "Lot",
    "LotUse",
    "Member",
    "MemberCodeUse",
    "MilestonePaid",
    "Outage",
    "PendingGrant",
    "PointsAdjustment",
    "Purchase",
    "Redemption",
    "Referral",
    "Refund",
    "Reward",
    "SettingChange",
    "ShopSetting",
    "Staff",
    "StaffSession",
    "StockMove",
    "Store",
    "Tally",
    "Tier",
    "TierChange",
    "TierGrant",
    "TierPerks",
    "TierQuota",
    "TierRule",
    "TierStanding",
    "Transfer",
    "Voucher",
    "db",
]
