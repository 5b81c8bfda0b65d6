"""Why points are not given to a segment."""

from mall.errors.families import Refused


class NotPreviewed(Refused):
    code, zh, en = (
        "not_previewed",
        "活动当前状态为 {state}，请先预览再执行",
        "This campaign is {state}; preview it before it is run.",
    )


class OverBudget(Refused):
    code = "over_budget"
    zh, en = (
        "共 {members} 人需 {cost_points} 分，超出预算 {short_by} 分，请缩小范围或提高预算",
        "{members} members cost {cost_points} points, {short_by} over the budget:"
        " narrow the segment or raise the budget.",
    )


class NobodyChosen(Refused):
    code, zh, en = (
        "nobody_chosen",
        "没有符合条件的会员，请调整条件",
        "Nobody is in this segment: change its filters.",
    )
