"""How points pay: rate, smallest bill, highest share, step. The newest version is in force."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mall import clock
from mall.atomic import atomic
from mall.errors import BillTooSmall, ChangedMeanwhile, PaymentsOff, StepNotWhole
from mall.idempotency import Answer, Key
from models import PaymentRule, db
from models.base import insert

WHOLE = 100  # per cent
LIMITS = ("share", "most_points", "available")  # what a payment can come up against


def in_force() -> PaymentRule:
    """The newest version; refused where the shop has none, or has ended it."""
    query = sa.select(PaymentRule).order_by(PaymentRule.version.desc()).limit(1)
    rule = db.session.scalar(query)
    if rule is None or not rule.active:
        raise PaymentsOff()
    return rule


def worth_fen(rule: PaymentRule, points: int) -> int:
    """What so many points pay; whole fen, for they come in steps."""
    return points * rule.rate_fen // rule.rate_points


def most_for(rule: PaymentRule, bill_fen: int) -> tuple[int, str]:
    """The most points that may pay a bill, in whole steps, and which limit says so."""
    if bill_fen < rule.min_bill_fen:
        short_fen = rule.min_bill_fen - bill_fen
        raise BillTooSmall(
            min_bill_fen=rule.min_bill_fen,
            short_by_fen=short_fen,
            min_yuan=yuan(rule.min_bill_fen),
            short_yuan=yuan(short_fen),
        )
    share_fen = bill_fen * rule.max_percent // WHOLE
    most, limit = share_fen * rule.rate_points // rule.rate_fen, "share"
    if rule.most_points is not None and rule.most_points < most:
        most, limit = rule.most_points, "most_points"
    return in_steps(rule, most), limit


def in_steps(rule: PaymentRule, points: int) -> int:
    return points - points % rule.step_points


def yuan(fen: int) -> str:
    return f"{fen / 100:.2f}"


def publish(values: dict[str, Any], *, staff_id: int | None, key: Key, now: datetime) -> Answer:
    """Put a version in force; what was paid before keeps its own. Of two at a moment the second is refused."""
    with atomic() as transaction:
        key.claim(now=now)
        if values["step_points"] * values["rate_fen"] % values["rate_points"]:
            named = ("step_points", "rate_points", "rate_fen")
            raise StepNotWhole(**{name: values[name] for name in named})
        last = sa.select(sa.func.max(PaymentRule.version))
        version = (transaction.execute(last).scalar() or 0) + 1
        row = {**values, "version": version, "published_by": staff_id, "published_at": now}
        statement = insert(PaymentRule).values(**row).on_conflict_do_nothing()
        added = transaction.execute(statement.returning(PaymentRule.version)).scalar()
        if added is None:
            raise ChangedMeanwhile(version=version)
        return key.store(201, view(PaymentRule(**row)))


def view(rule: PaymentRule) -> dict[str, Any]:
    names = ("version", "active", "rate_points", "rate_fen", "min_bill_fen", "max_percent")
    more = ("step_points", "most_points", "note", "published_by")
    shown = {name: getattr(rule, name) for name in (*names, *more)}
    return {**shown, "published_at": clock.rfc3339(rule.published_at)}
