"""What there is to do in the demo shop."""

from typing import Any

TASKS: tuple[tuple[str, str, str, str, str, int, dict[str, Any]], ...] = (
    # code, period, title, in English, what it counts, target, what else it says
    ("daily", "daily", "每日签到", "Sign in daily", "check_in", 1, {"points": 2}),
    ("week", "weekly", "一周到店三次", "Three visits a week", "visit", 3, {"points": 30}),
    (
        "profile",
        "once",
        "完善资料",
        "Complete your profile",
        "profile_completed",
        1,
        {"points": 20},
    ),
    (
        *("newcomer", "once", "新手礼：7天内首次消费", "First purchase in 7 days"),
        *("purchase_count", 1, {"points": 50, "audience": {"new_member_days": 7}}),
    ),
    (
        "friend",
        "monthly",
        "好友首次消费",
        "A friend's purchase",
        "friend_bought",
        1,
        {"points": 50},
    ),
    (
        *("review", "each", "评价已购商品", "Review what you bought", "review_approved", 1),
        {"points": 10, "automatic": True},
    ),
    (
        *("thousand", "monthly", "本月消费满1000元送咖啡", "A coffee for ¥1000 a month"),
        *("purchase_amount", 100_000, {"bundle_code": "coffee"}),
    ),
)
