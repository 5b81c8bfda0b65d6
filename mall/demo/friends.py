"""How members come to the demo shop, and what invitations pay there."""

from typing import Any

GIFT = {"code": "store-welcome", "name": "到店礼", "points": 10, "growth_value": 0}
CHANNELS: tuple[dict[str, Any], ...] = (
    {"code": "poster", "name": "朋友圈海报", "kind": "online", "cost_fen": 50_000, "owner": "小王"},
    {"code": "gym", "name": "隔壁健身房", "kind": "partner", "cost_fen": 20_000, "owner": "小李"},
    {"code": "store-a", "name": "人民广场店桌牌", "kind": "store", "cost_fen": 0, "owner": "店长"},
)
NOTHING = {"points": 0, "bundle": ""}
INVITING: dict[str, Any] = {  # paid at once, so that a visitor sees it
    "join": {"inviter": NOTHING, "friend": NOTHING, "pending_days": 0},
    "purchase": {
        "inviter": {"points": 100, "bundle": ""},
        "friend": {"points": 50, "bundle": ""},
        "pending_days": 0,
        "min_amount_fen": 0,
    },
    "ladder": [{"friends": 3, "points": 100, "bundle": ""}],
    "caps": {"per_day": 20, "for_life": None},
    "attribution_days": 30,
    "holds": {
        "device_joins_per_day": 2,
        "address_joins_per_hour": 600,
        "inviter_joins_per_hour": 100,
        "keep_days": 30,
    },
}
