"""What is remembered: every model, and `db`."""

from models.actions import TillAction
from models.alarms import Alarm, BalanceSettlement
from models.audit import AuditEntry, AuditHead, AuditWaiting
from models.base import db
from models.benefits import Benefit, BenefitEntry
from models.bundles import Bundle, GivenBundle
from models.campaigns import CampaignMember, PointsCampaign
from models.channels import Channel, ChannelDay
from models.checkins import CheckIn, MilestonePaid, Outage
from models.closures import ClosedMark, Closure
from models.consents import Consent, Policy
from models.debts import DebtEntry
from models.earning import EarningCounter, EarningRule
from models.events import Event, EventReaction, IdempotencyKey, MemberCodeUse
from models.expiry import ExpiryPolicy, PointsReminder, RemindedLot
from models.gates import GateMark
from models.holds import Hold
from models.jobs import JobRun
from models.members import Member
from models.merges import Merge
from models.messages import Message, MessageTemplate
from models.metrics import Tally
from models.payments import PaymentReturn, PaymentRule, PointsPayment
from models.points import Account, LedgerEntry, Lot, LotUse, PendingGrant, PointsAdjustment
from models.profiles import ProfileChange
from models.purchases import Purchase, Refund
from models.redemptions import Redemption
from models.referrals import CodeImage, Referral, ReferralRule, ReferralStep
from models.reviews import Review
from models.rewards import LimitCounter, Reward, StockMove
from models.shop import CheckInLadder, CheckInRule, SettingChange, ShopSetting, Store
from models.staff import Failure, SecondFactor, Staff, StaffSession
from models.store_stocks import StoreMove, StoreStock
from models.tasks import Task, TaskClaim, TaskMark, TaskVersion
from models.tier_rules import (
    GrowthCount,
    TierGrant,
    TierPerks,
    TierQuota,
    TierRule,
    TierStanding,
)
from models.tiers import GrowthEntry, Tier, TierChange
from models.touches import Sighting, Touch
from models.transfers import Transfer
from models.vouchers import Voucher

__all__ = [
    "Account",
    "Alarm",
    "AuditEntry",
    "AuditHead",
    "AuditWaiting",
    "BalanceSettlement",
    "Benefit",
    "BenefitEntry",
    "Bundle",
    "CampaignMember",
    "Channel",
    "ChannelDay",
    "CheckIn",
    "CheckInLadder",
    "CheckInRule",
    "CodeImage",
    "ClosedMark",
    "Closure",
    "Consent",
    "DebtEntry",
    "EarningCounter",
    "EarningRule",
    "Event",
    "EventReaction",
    "ExpiryPolicy",
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
    "Merge",
    "Message",
    "MessageTemplate",
    "MilestonePaid",
    "Outage",
    "PaymentReturn",
    "PaymentRule",
    "PendingGrant",
    "PointsAdjustment",
    "PointsCampaign",
    "PointsPayment",
    "PointsReminder",
    "Policy",
    "ProfileChange",
    "Purchase",
    "Redemption",
    "Referral",
    "ReferralRule",
    "ReferralStep",
    "Refund",
    "RemindedLot",
    "Review",
    "Reward",
    "SecondFactor",
    "SettingChange",
    "ShopSetting",
    "Sighting",
    "Staff",
    "StaffSession",
    "StockMove",
    "Store",
    "StoreMove",
    "StoreStock",
    "Tally",
    "Task",
    "TaskClaim",
    "TaskMark",
    "TaskVersion",
    "Tier",
    "TierChange",
    "TierGrant",
    "TierPerks",
    "TierQuota",
    "TierRule",
    "TierStanding",
    "TillAction",
    "Touch",
    "Transfer",
    "Voucher",
    "db",
]
