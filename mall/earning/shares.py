"""Whose points they are: what a receipt earned, shared out to the parts of its bill.

A refund by item takes back what that item earned, and nothing of what it never earned.
"""

from collections.abc import Sequence

from mall.earning import engine
from mall.earning.engine import Bill, Line, Part
from mall.earning.rules import BASE, MULTIPLY, Rule

SAID = ("earned", "too_small", "capped", "excluded")  # of base rules that had a say over parts


def share_out(bill: Bill, lines: Sequence[Line], rules: Sequence[Rule]) -> list[int]:
    """The points of each part of a bill, in its order; they add up to what the lines give."""
    parts = bill.parts
    had_say = {line.rule.code for line in lines if line.why in SAID}
    base = [rule for rule in rules if rule.kind == BASE and rule.code in had_say]
    taken, _ = engine._shares(bill, base)
    base_points = [0] * len(parts)
    for share in taken:
        for part, points in zip(share.parts, share.spread(), strict=True):
            base_points[part.place] = points
    owners = {share.rule.code: {part.place for part in share.parts} for share in taken}
    found = [0] * len(parts)
    for line in lines:
        if line.points:
            weights = _weights(line, parts, owners, base_points)
            for place, points in enumerate(_spread(line.points, weights)):
                found[place] += points
    return found


def _weights(
    line: Line, parts: Sequence[Part], owners: dict[str, set[int]], base_points: Sequence[int]
) -> list[int]:
    """How much each part has to do with a line: by its base points, or by its money."""
    rule = line.rule
    if rule.kind == BASE:
        mine = owners.get(rule.code, set())
        return [part.amount_fen if part.place in mine else 0 for part in parts]
    fits = [engine.matches(rule, part) and not engine._is_excluded(rule, part) for part in parts]
    of_part = base_points if rule.kind == MULTIPLY else [part.amount_fen for part in parts]
    return [of_part[part.place] if fits[part.place] else 0 for part in parts]


def _spread(total: int, weights: Sequence[int]) -> list[int]:
    """Share points out by weights in whole numbers that add up; without weights to the last part."""
    whole = sum(weights)
    if not whole:
        return [0] * (len(weights) - 1) + [total]
    before, done, parts = 0, 0, []
    for weight in weights:
        before += weight
        upto = total * before // whole
        parts.append(upto - done)
        done = upto
    return parts
