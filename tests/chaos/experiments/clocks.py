"""Machines whose clocks are wrong: the database's alone says which day it is."""

import glob
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.chaos.fleet import Ask, Client
from tests.chaos.ground import Ground
from tests.chaos.trial import Trial

ZONE = ZoneInfo("Asia/Shanghai")
WRONG_CLOCK = Path(__file__).parents[1] / "wrong_clock"
LIBRARIES = "/usr/lib/*/faketime/libfaketime.so.1"
TOLERANCE = timedelta(minutes=2)
DAYS_OF_A_VOUCHER = 30


def library() -> str | None:
    """libfaketime, which shifts the clock of whoever is started with it; None where it is not."""
    return next(iter(glob.glob(LIBRARIES)), None)


def of_redis(by: str) -> dict[str, str] | None:
    """An environment in which Redis' clock is wrong; None where nothing here can shift it."""
    found = library()
    return {"LD_PRELOAD": found, "FAKETIME": by, "DONT_FAKE_MONOTONIC": "1"} if found else None


def of_python(seconds: int) -> dict[str, str]:
    """An environment in which the application's clock is wrong."""
    return {"PYTHONPATH": str(WRONG_CLOCK), "WRONG_CLOCK_S": str(seconds)}


def x15(ground: Ground, *, wrong: str) -> Trial:
    """Sign in, redeem and look at every date, on machines whose clocks are wrong."""
    trial = Trial(
        "X15",
        f"clocks wrong ({wrong}): day, expiry and streak are the database's, INV",
        ground,
    )
    member = ground.members[0]
    now: datetime = ground.rows("SELECT now()")[0][0].astimezone(ZONE)
    wish = {"reward_id": ground.stock(5), "quantity": 1}
    client = Client(ground.port, trial.history)
    try:
        signed = client.ask(Ask(member.id, member.token, "/me/checkins", {}, key=None)).body
        redeemed = client.ask(Ask(member.id, member.token, "/me/redemptions", wish)).body
    finally:
        client.close()
    trial.require(signed["day"] == now.date().isoformat(), f"the day was {signed['day']}")
    trial.require(signed["streak_days"] == 1, f"the streak was {signed['streak_days']}")
    ends = datetime.fromisoformat(redeemed["voucher"]["expires_at"])
    due = now + timedelta(days=DAYS_OF_A_VOUCHER)  # or the end of that day
    trial.require(abs(ends - due) < TOLERANCE + timedelta(days=1), f"the voucher ends {ends}")
    lots = ground.rows("SELECT earned_at, expires_at FROM lots WHERE member_id = :id", id=member.id)
    for earned_at, expires_at in lots:
        trial.require(abs(earned_at - now) < TOLERANCE, f"a lot was earned at {earned_at}")
        last = expires_at.astimezone(ZONE).date() - timedelta(days=1)
        trial.require(_year_on(now.date(), last), f"a lot lasts to {last}")
    trial.measure(day=signed["day"], lots=len(lots))
    return trial.settle(ground.rewards)


def _year_on(day: date, last: date) -> bool:
    """Whether a day is in the month that comes a year later."""
    return (last.year, last.month) == (day.year + 1, day.month)
