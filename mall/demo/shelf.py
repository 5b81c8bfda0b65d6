"""What stands on the demo shop's shelf."""

from typing import Any

REWARDS: tuple[dict[str, Any], ...] = (
    {
        "title": "手冲咖啡一杯",
        "kind": "pickup",
        "price_points": 30,
        "category": "饮品",
        "units": 200,
        "per_member_limit": 5,
    },
    {
        "title": "帆布托特包",
        "kind": "pickup",
        "price_points": 120,
        "category": "周边",
        "units": 50,
        "per_member_limit": 2,
    },
    {
        "title": "满100减20优惠券",
        "kind": "coupon",
        "price_points": 80,
        "category": "优惠券",
        "units": 500,
    },
    {
        "title": "手账本礼盒",
        "kind": "delivery",
        "price_points": 300,
        "category": "周边",
        "units": 30,
        "per_member_limit": 1,
    },
    {
        "title": "银卡专享保温杯",
        "kind": "pickup",
        "price_points": 500,
        "category": "周边",
        "units": 20,
        "tier_min": "silver",
        "tier_prices": {"gold": 400},
    },
    {
        "title": "免费停车2小时",
        "kind": "virtual",
        "price_points": 50,
        "category": "服务",
        "units": 100,
    },
    {
        "title": "门店手作蛋糕",
        "kind": "pickup",
        "price_points": 150,
        "category": "甜点",
        "stock_by_store": True,
        "units": {"A": 12, "B": 3},
        "per_member_limit": 2,
        "limit_period": "week",
    },
    {
        "title": "限量生肖公仔",
        "kind": "pickup",
        "price_points": 200,
        "category": "限量",
        "units": 10,
        "per_member_limit": 1,
        "hot": True,
    },
)
