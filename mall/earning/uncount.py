"""What a receipt that was refunded or undone had of rules with caps is there to be earned again."""

from datetime import date
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.earning.award import _periods
from mall.earning.rules import Rule, read
from models import EarningCounter, EarningRule
from models.base import insert, table_of


def uncount(member_id: int, receipt: Any, *, before: int, after: int) -> None:
    """Take a receipt's lines off the counters of their caps as its points go, on them as they return.

    So many of its points were gone `before` and are `after`. Each line goes in proportion, rounded
    down, so that the parts of any sequence of refunds add up to it. Under the account's lock.
    """
    paid = [line for line in receipt.lines if line["points"]]
    day, total = clock.business_day(receipt.paid_at), receipt.points_awarded
    rules = _versions([(line["code"], line["version"]) for line in paid])
    for line in paid:
        rule = rules.get((line["code"], line["version"]))  # what a tier multiplies is no rule
        gone = line["points"] * after // total - line["points"] * before // total
        if rule is not None and gone:
            _lower(member_id, rule, day, gone)


def _versions(wanted: list[tuple[str, int]]) -> dict[tuple[str, int], Rule]:
    """The rules of a receipt's lines, in the versions that made them."""
    if not wanted:
        return {}
    named = sa.tuple_(EarningRule.code, EarningRule.version).in_(wanted)
    with atomic() as transaction:
        found = transaction.execute(sa.select(EarningRule.__table__).where(named))
        return {(row.code, row.version): read(row) for row in found}


def _lower(member_id: int, rule: Rule, day: date, points: int) -> None:
    table = table_of(EarningCounter)
    with atomic() as transaction:
        for period in sorted(_periods(rule, day)):
            row = {"member_id": member_id, "rule_code": rule.code, "period": period}
            statement = insert(EarningCounter).values(**row, points=max(0, -points))
            lowered = statement.on_conflict_do_update(
                index_elements=list(row), set_={"points": table.c.points - points}
            )
            transaction.execute(lowered)
