"""What tiers, their rules and their benefits refuse."""

from mall.errors.families import Malformed, Refused


class BaseTierFixed(Refused):
    code = "base_tier_fixed"
    zh, en = (
        "基础等级的成长值门槛必须为 0，所有会员从这里开始",
        "The base tier stays at growth 0: everybody starts there.",
    )


class TierTaken(Refused):
    code = "tier_taken"
    zh, en = (
        "等级代码或成长值门槛 {growth_min} 已被使用，请换一个",
        "That code or the threshold {growth_min} belongs to another tier, choose another.",
    )


class TierRulePublished(Refused):
    code = "tier_rule_published"
    zh, en = (
        "等级规则第 {version} 版已发布，不能修改，请新建草稿",
        "Version {version} of the tier rules is published; draft a new one instead.",
    )


class TierRuleOutdated(Refused):
    code = "tier_rule_outdated"
    zh, en = (
        "生效时间不能早于第 {version} 版的 {effective_at}",
        "It can't take effect before version {version} does at {effective_at}.",
    )


class UnknownTier(Malformed):
    code = "tier_unknown"
    zh, en = "没有代码为 {tier} 的等级", "There is no tier {tier}."


class GrantEnded(Refused):
    code = "tier_grant_ended"
    zh, en = "该手动等级已于 {ended_at} 结束", "That grant of a tier ended at {ended_at}."


class GrantInThePast(Refused):
    code = "tier_grant_past"
    zh, en = "结束时间必须晚于现在", "A grant has to end later than now."


class BenefitUsedUp(Refused):
    code = "benefit_used_up"
    zh, en = (
        "“{name}”本期 {uses} 次已用完，{next}",
        "All {uses} uses of {name} in this period are gone; {next_en}.",
    )


class BenefitUseKnown(Refused):
    code = "benefit_use_undone"
    zh, en = "这次权益使用已撤销", "This use has been undone already."


class BenefitExpired(Refused):
    code = "benefit_expired"
    zh, en = (
        "该权益的周期已于 {expires_at} 结束，不能再撤销",
        "The period of that use ended at {expires_at}; it can't be undone.",
    )
