"""A shop whose year passes in a test: its clock is wound on, its jobs run as their schedules say."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask

from mall import clock, jobs
from models import db
from tests.caller import Caller

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = ("nightly", "expire-vouchers", "expire-benefits", "birthday-packs", "apply-tier-rules")


class Year:
    """One shop, one member, and a clerk, an admin and jobs that act on the day it is."""

    def __init__(self, app: Flask, as_staff: Any, as_shopper: Any) -> None:
        self.app, self._as_staff, self._as_shopper = app, as_staff, as_shopper
        self.member_id = self.reward_id = self.bought = 0

    def at(self, day: date, hour: int = 12, minute: int = 0) -> None:
        """Wind the clock to a moment of the shop's day."""
        db.session.rollback()
        self.app.config["CLOCK_OFFSET_S"] = 0
        wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI)
        self.app.config["CLOCK_OFFSET_S"] = (wanted - clock.now()).total_seconds()

    def night(self, day: date) -> None:
        """What the worker does in the first hours of a day."""
        self.at(day, 0, 5)
        for name in NIGHT:
            jobs.JOBS[name][0]()
        self.at(day, 9)
        jobs.JOBS["remind-points"][0]()

    def tell(self) -> None:
        """The worker tells what has happened to whoever reacts."""
        jobs.JOBS["drain-events"][0]()

    def shopper(self, **more: str) -> Caller:
        caller = self._as_shopper("lin", **more)
        self.member_id = caller.id
        return caller

    def post(self, who: str, path: str, body: Any = None, *, status: int = 201) -> Any:
        answer = self._as_staff(who).post(path, body)
        assert answer.status_code == status, (path, answer.json)
        return answer.json

    def stands(self) -> tuple[int, int, str]:
        """The member's points, growth in the ledger, and tier, as the console shows them."""
        seen = self._as_staff("admin").get(f"/admin/members/{self.member_id}").json
        card = self.shopper().get("/me/card").json
        assert card["points"]["available"] == seen["points"]
        return seen["points"], seen["growth_value"], card["tier"]["code"]


def days_from(first: date, count: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(count)]
