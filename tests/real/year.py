"""Live the real households' year: each day's receipts come in, then the night's jobs run, twice.

    python -m tests.real.year --households N|all [--days N]

It works on the shop that the environment names (DATA_DIR, DATABASE_URL, REDIS_URL), which should be
new. Points live three months, tiers are reviewed by what was bought in 180 days, a task asks for ¥100 a
month. The second run of a night must find nothing, and a draft of a rule is played over the whole year.
Ends with 1 where a night finds something twice, or the ledger's proof finds anything.
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from flask import Flask

from mall import clock, earning, expiry_policies, imports, jobs, ledger, shop, tasks, tiers
from mall.idempotency import Key
from models import Event, LedgerEntry, Purchase, TaskClaim, TierChange, db

SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = ("nightly", "apply-tier-rules", "expire-vouchers", "remind-points")
ONE_DAY = timedelta(days=1)
COUNTED = (Purchase, LedgerEntry, TierChange, TaskClaim, Event)
Rows = dict[date, list[list[str]]]


class Shop:
    """A shop whose clock is wound from day to day."""

    def __init__(self, app: Flask) -> None:
        self.app, self.jobs_s = app, 0.0

    def at(self, day: date, hour: int, minute: int = 0) -> None:
        db.session.rollback()
        self.app.config["CLOCK_OFFSET_S"] = 0
        wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=SHANGHAI)
        self.app.config["CLOCK_OFFSET_S"] = (wanted - clock.now()).total_seconds()

    def opens(self, day: date) -> None:
        """Tune what gives a night something to do."""
        self.at(day, 0)
        shop.open_shop(now=clock.now())
        life = {"kind": "rolling", "lasts": 3, "unit": "month", "round_up_to": "month"}
        values = {"terms": life, "by_tier": {}, "remind_days": [30, 7, 1], "note": ""}
        now = clock.now()
        expiry_policies.publish(values, staff_id=None, key=_key("expiry"), now=now)
        window = {"window_kind": "rolling", "window_days": 180, "grace_days": 14}
        drafted = json.loads(tiers.drafts.draft(window, **_who(), now=now).body)["id"]
        tiers.drafts.publish(drafted, effective_at=None, **_who(), now=now)
        tasks.write(_task(), publish=True, **_who(), now=now)

    def takes(self, header: list[str], rows: list[list[str]]) -> None:
        """Take a day's receipts, and tell what follows."""
        file = io.StringIO()
        csv.writer(file).writerows([header, *rows])
        file.seek(0)
        report = imports.import_purchases(file, dry_run=False, open_stores=True)
        assert report.created == len(rows), report.view(dry_run=False)
        jobs.JOBS["drain-events"][0]()

    def night(self) -> int:
        """What the worker does after midnight; answers how much."""
        started = time.monotonic()
        done = sum(jobs.JOBS[name][0]() for name in NIGHT)
        jobs.JOBS["drain-events"][0]()
        self.jobs_s += time.monotonic() - started
        return done


def _key(route: str) -> Key:
    return Key(caller="system", route=route, text=None)


def _who() -> dict[str, Any]:
    return {"staff_id": None, "key": _key("year")}


def _task() -> dict[str, Any]:
    spend = {"code": "spend", "title": "消费", "title_en": "Spend", "counts": "purchase_amount"}
    names = {"code": "monthly", "title": "当月满百", "title_en": "¥100 a month"}
    rest = {"ordered": False, "audience": {}, "starts_on": None, "ends_on": None, "sort": 0}
    gives = {"points": 5, "bundle_code": "", "automatic": True, "active": True}
    return {**names, **rest, **gives, "period": "monthly", "steps": [{**spend, "target": 10_000}]}


def by_day(file: Path) -> tuple[list[str], Rows]:
    """The header, and receipts by the shop's day."""
    with file.open(encoding="utf-8", newline="") as opened:
        rows = csv.reader(opened)
        header = next(rows)
        paid_at, found = header.index("paid_at"), defaultdict[date, list[list[str]]](list)
        for row in rows:
            moment = datetime.fromisoformat(row[paid_at])
            found[moment.astimezone(SHANGHAI).date()].append(row)
    return header, found


def live(app: Flask, folder: Path, *, days: int | None = None) -> dict[str, Any]:
    """Live the year; answers what was done, how long nights took, and what was wrong."""
    header, rows = by_day(folder / "purchases.csv")
    first, shop_ = min(rows), Shop(app)
    last = max(rows) if days is None else first + (days - 1) * ONE_DAY
    shop_.opens(first)
    shop_.at(max(rows), 12)  # they say themselves when they joined
    with (folder / "members.csv").open(encoding="utf-8", newline="") as file:
        imports.import_members(file, dry_run=False)
    done, twice = 0, []
    for day in _days(first, last):
        shop_.at(day + ONE_DAY, 0, 5)
        if rows[day]:
            shop_.takes(header, rows[day])
        done += shop_.night()
        before = counts()
        if shop_.night() or counts() != before:
            twice.append(day.isoformat())
    nights = (last - first).days + 1
    facts = {"nights": nights, "done": done, "jobs_s": round(shop_.jobs_s, 1), "twice": twice}
    return {**facts, **counts(), "mismatches": len(ledger.verify()["mismatches"])}


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += ONE_DAY


def counts() -> dict[str, int]:
    """How many rows there are of what a night may write."""
    db.session.rollback()
    found = {}
    for model in COUNTED:
        query = sa.select(sa.func.count()).select_from(model)
        found[model.__tablename__] = db.session.scalar(query) or 0
    return found


def back_test(first: date, last: date) -> dict[str, Any]:
    """Play a draft of the purchase rule over a time; answers what it came to, and how long it took."""
    terms = {"rate": {"points": 2, "per_fen": 150, "rounding": "floor"}}
    draft = {"code": "purchase", "name": "草稿", "kind": "base", "trigger": "purchase", **terms}
    drafted = earning.write(_filled(draft), publish=False, **_who(), now=clock.now())
    id_ = json.loads(drafted.body)["id"]
    started = time.monotonic()
    played = earning.back_test([id_], first, last, key=_key("back-test"), now=clock.now())
    seconds = time.monotonic() - started
    return {
        "back_test_s": round(seconds, 1),
        "receipts_played": json.loads(played.body)["receipts"],
    }


def _filled(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule with what it leaves out, as the console sends it."""
    lists = dict.fromkeys(("matches", "excluded_categories", "excluded_skus"), [])
    return {**lists, "priority": 0, "active": True, "min_amount_fen": 0, "award": "now", **rule}


def main() -> None:
    """Make the files, live the year, play a draft over it, and report."""
    from app import create_app  # reads the environment

    asked = _parser().parse_args()
    app = create_app()
    with app.app_context(), tempfile.TemporaryDirectory(prefix="real-year-") as folder:
        making = [sys.executable, "-m", "tests.real.households", "--out", folder]
        subprocess.run([*making, "--households", asked.households], check=True)
        started = time.monotonic()
        facts = live(app, Path(folder), days=asked.days)
        facts["lived_s"] = round(time.monotonic() - started)
        first = min(by_day(Path(folder) / "purchases.csv")[1])
        facts |= back_test(first, first + timedelta(days=facts["nights"] - 1))
    print(json.dumps(facts))
    if facts["twice"] or facts["mismatches"]:
        raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.real.year", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--households", required=True, metavar="N|all")
    parser.add_argument("--days", type=int, help="live so many days only")
    return parser


if __name__ == "__main__":
    main()
