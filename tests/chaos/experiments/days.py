"""Midnight in Shanghai, with everybody signing in."""

import random
import time
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.chaos.fleet import Ask, Crowd
from tests.chaos.ground import Ground
from tests.chaos.trial import Trial

CHECK_IN = "/me/checkins"
ZONE = ZoneInfo("Asia/Shanghai")
LEAD_S = 3.0


def offset_to_midnight_s(*, in_s: int) -> int:
    """CLOCK_OFFSET_S for a shop whose midnight comes in so many seconds."""
    now = datetime.now(UTC).astimezone(ZONE)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), ZONE)
    return int((midnight - now).total_seconds()) - in_s


def x16(ground: Ground, *, members: int = 20, parallel: int = 50, for_s: float = 8) -> Trial:
    """Fifty taps of each member at once, before and after midnight."""
    trial = Trial(
        "X16",
        f"{members} members, {parallel} clients each at once across 00:00 Asia/Shanghai: one"
        " row a day, two days, streak 1 then 2, each day paid once, no 5xx, INV",
        ground,
    )
    people = ground.members[:members]
    _wait_for_midnight(ground)

    def next_ask() -> Ask:
        person = random.choice(people)
        return Ask(person.id, person.token, CHECK_IN, {}, key=None)

    with Crowd(ground.port, trial.history, next_ask, clients=parallel, patience_s=0):
        time.sleep(for_s)
    trial.measure(calls=len(trial.history.calls))
    trial.faults += _wrong_days(ground, trial, [person.id for person in people])
    failed = trial.history.count(lambda call: call.status not in (200, 201))
    trial.require(failed == 0, f"{failed} answers that are neither 200 nor 201")
    proof = ground.admin().get("/admin/ledger/verification")
    trial.require(proof["mismatches"] == [], f"{proof['mismatches']}")
    return trial.end()


def _wait_for_midnight(ground: Ground) -> None:
    """Sleep until the shop's own midnight is near."""
    shift = timedelta(seconds=int(ground.environment["CLOCK_OFFSET_S"]))
    now = (datetime.now(UTC) + shift).astimezone(ZONE)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), ZONE)
    left_s = (midnight - now).total_seconds()
    assert left_s < 600, f"midnight is {left_s:.0f} s away: the shop's clock was not set for this"
    time.sleep(max(left_s - LEAD_S, 0))


def _wrong_days(ground: Ground, trial: Trial, member_ids: list[int]) -> list[str]:
    """Differences between rows, answers and the model: the first day pays, and so does the next."""
    query = "SELECT day, streak_days FROM checkins WHERE member_id = :id ORDER BY day"
    paid = "SELECT count(*) FROM ledger_entries WHERE kind = 'check_in' AND member_id = :id"
    firsts: dict[int, list[str]] = defaultdict(list)
    for call in trial.history.calls:
        if call.status == 201:
            firsts[call.ask.member_id].append(call.body["day"])
    wrong = []
    for member_id in member_ids:
        rows = ground.rows(query, id=member_id)
        days = [row[0] if isinstance(row[0], date) else date.fromisoformat(row[0]) for row in rows]
        streaks = [row[1] for row in rows]
        if streaks != [1, 2] or days[1] - days[0] != timedelta(days=1):
            wrong.append(f"member {member_id}: days {days}, streaks {streaks}")
        if sorted(firsts[member_id]) != [day.isoformat() for day in days]:
            wrong.append(f"member {member_id}: told 201 for {firsts[member_id]}, rows {days}")
        if ground.number(paid, id=member_id) != len(rows):
            wrong.append(f"member {member_id}: paid another number of times than {len(rows)}")
    return wrong
