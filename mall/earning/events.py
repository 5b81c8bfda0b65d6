"""Points for what members do beside buying, by rules that an event sets off."""

from datetime import datetime

from mall import clock, points, shop
from mall.atomic import atomic
from mall.earning.award import buyers, meter
from mall.earning.engine import Bill, award
from mall.earning.rules import EVENT, Rule, in_force
from mall.events import Fact
from mall.points import Book, Cause

KIND = "event"


def kinds(*, now: datetime) -> set[str]:
    """The kinds of facts that earn by the rules in force."""
    return {kind for rule in in_force(now=now, triggers=[EVENT]) for kind in rule.matches}


def earn(fact: Fact, *, now: datetime) -> None:
    """Grant what the rules in force give for a fact, up to their caps."""
    rules = [each for each in in_force(now=now, triggers=[EVENT]) if fact.kind in each.matches]
    if not rules:
        return
    with atomic():
        book = points.open_book([fact.member_id], now=now)
        if book.account(fact.member_id).state != "closed":
            _grant(fact, rules, book)
            book.write()


def _grant(fact: Fact, rules: list[Rule], book: Book) -> None:
    member_id, day = fact.member_id, clock.business_day(book.now)
    who = buyers([member_id], {member_id: book.account(member_id).tier_code})[member_id]
    counted = meter(rules, {(member_id, day)})
    lines = award(Bill(0, day), who, rules, used=counted.used(member_id))
    expires_at = shop.points_expire_at(book.now)
    for line in lines:
        name = f"{line.rule.code}:{fact.id}"
        cause = Cause(
            *(KIND, "event", name, "system"),
            reason=line.rule.name,
            rule=line.rule.label,
            rule_version=line.rule.version,
        )
        book.grant(member_id, line.points, cause, expires_at=expires_at)
    counted.count(member_id, lines, day)
    counted.write()
