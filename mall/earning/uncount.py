"""What an undone receipt had of rules with caps is there to be earned again."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from mall.atomic import atomic
from mall.earning.award import _periods
from mall.earning.rules import read
from models import EarningCounter, EarningRule
from models.base import table_of


def uncount(member_id: int, lines: Sequence[Mapping[str, Any]], day: date) -> None:
    """Take a receipt's lines off the counters of their caps, by the versions that made them."""
    paid = [line for line in lines if line["points"]]
    named = sa.tuple_(EarningRule.code, EarningRule.version)
    wanted = [(line["code"], line["version"]) for line in paid]
    table = table_of(EarningCounter)
    with atomic() as transaction:
        found = transaction.execute(sa.select(EarningRule.__table__).where(named.in_(wanted)))
        rules = {(row.code, row.version): read(row) for row in found}
        for line in paid:
            rule = rules[line["code"], line["version"]]
            transaction.execute(
                sa.update(table)
                .where(
                    table.c.member_id == member_id,
                    table.c.rule_code == rule.code,
                    table.c.period.in_(_periods(rule, day)),
                )
                .values(points=table.c.points - line["points"])
            )
