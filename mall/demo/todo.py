"""What there is to do in the demo shop."""

from typing import Any


def _step(counts: str, target: int, title: str, title_en: str) -> dict[str, Any]:
    return {"code": counts[:16], "counts": counts, "target": target, "title": title} | {
        "title_en": title_en
    }


ANY_TASK: dict[str, Any] = {
    "period": "once",
    "ordered": False,
    "audience": {},
    "starts_on": None,
    "ends_on": None,
    "points": 0,
    "bundle_code": "",
    "automatic": False,
    "active": True,
}
CHALLENGE: dict[str, Any] = {
    "code": "challenge",
    "name": "满额礼",
    "points": 200,
    "growth_value": 0,
    "rewards": [],
    "benefits": [],
}
TASKS: tuple[dict[str, Any], ...] = (
    {
        "code": "newcomer",
        "title": "新人任务：完善资料并首次消费",
        "title_en": "Newcomers: complete your profile and buy once",
        "steps": [
            _step("profile_completed", 1, "完善资料", "Complete your profile"),
            _step("purchase_count", 1, "首次消费", "Make a first purchase"),
        ],
        "audience": {"new_member_days": 30},
        "points": 50,
    },
    {
        "code": "weekly-signs",
        "title": "本周签到 5 天",
        "title_en": "Sign in on five days of a week",
        "period": "weekly",
        "steps": [_step("check_in", 5, "签到", "Sign in")],
        "points": 20,
    },
    {
        "code": "monthly-1000",
        "title": "当月消费满 1000 元",
        "title_en": "Spend ¥1000 in a month",
        "period": "monthly",
        "steps": [_step("purchase_amount", 100_000, "消费满 1000 元", "Spend ¥1000")],
        "bundle_code": "challenge",
        "automatic": True,
    },
    {
        "code": "share",
        "title": "分享给好友，好友首次签到或消费",
        "title_en": "Share with a friend who signs in or buys",
        "period": "monthly",
        "steps": [_step("friend_acted", 1, "好友行动", "A friend acts")],
        "points": 30,
        "automatic": True,
    },
    {
        "code": "review",
        "title": "评价买过的商品",
        "title_en": "Review something you bought",
        "period": "weekly",
        "steps": [_step("review_approved", 1, "评价通过", "A review is approved")],
        "points": 10,
    },
)
