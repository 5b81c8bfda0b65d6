"""Why a rule gave what it gave, in sentences for shopper and clerk alike, with the next step."""

from collections.abc import Mapping
from typing import Any

SENTENCES = {
    "earned": ("消费 ¥{yuan} 按此规则计分", "¥{yuan} earned by this rule."),
    "too_small": (
        "满 ¥{least_yuan} 起得积分，本单 ¥{yuan}，还差 ¥{short_yuan}",
        "A point takes ¥{least_yuan}; these ¥{yuan} are ¥{short_yuan} short of it.",
    ),
    "multiplied": ("基础积分按 {percent}% 计", "Base points count at {percent} %."),
    "added": ("额外赠送", "Points on top."),
    "capped": (
        "已达上限（{cap_zh} {limit} 分），原应得 {without_cap} 分",
        "Cut to the limit of {limit} points ({cap}); it would have been {without_cap}.",
    ),
    "excluded": ("¥{yuan} 的商品不参与积分", "¥{yuan} of goods earn no points."),
    "below_minimum": (
        "满 ¥{min_yuan} 起计分，还差 ¥{short_yuan}",
        "Points start at ¥{min_yuan}; ¥{short_yuan} are missing.",
    ),
    "nothing_of_it": ("本单没有参与此规则的商品", "Nothing on the receipt is part of this rule."),
    "not_then": ("不在活动日期内", "Not within the days of this rule."),
    "not_for_tier": ("限指定等级会员：{tiers}", "For members of these tiers: {tiers}."),
    "not_at_store": ("限指定门店", "At other stores only."),
    "no_longer_new": ("限入会 {days} 天内的新会员", "For members of fewer than {days} days."),
}
CAPS = {
    "transaction": "每单",
    "day": "每日",
    "week": "每周",
    "month": "每月",
    "year": "每年",
    "ever": "累计",
}


def told(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line that was kept, as people read it: with its sentence in both languages."""
    sentences = {
        name: sentence(line["why"], line["numbers"], language)
        for name, language in (("reason", "zh"), ("reason_en", "en"))
    }
    return {**{name: line[name] for name in ("rule", "points", "why", "numbers")}, **sentences}


def sentence(why: str, numbers: Mapping[str, Any], language: str) -> str:
    """The sentence of a reason, in `zh` or `en`."""
    zh, en = SENTENCES[why]
    shown = {
        **numbers,
        "yuan": _yuan(numbers.get("amount_fen", 0)),
        "min_yuan": _yuan(numbers.get("min_amount_fen", 0)),
        "least_yuan": _yuan(numbers.get("least_fen", 0)),
        "short_yuan": _yuan(numbers.get("short_by_fen", 0)),
        "cap_zh": CAPS.get(str(numbers.get("cap")), ""),
        "tiers": "、".join(numbers.get("tiers", ())),
    }
    return (en if language == "en" else zh).format(**shown)


def _yuan(fen: int) -> str:
    return f"{fen / 100:.2f}"
