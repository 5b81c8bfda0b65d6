"""What is done without being asked: Celery runs these, and `flask jobs NAME` runs one by hand.

Each is done in bounded batches, may be run twice or late, and finds in the database what is left.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click
from celery import Celery
from celery.schedules import crontab
from flask import Flask, current_app
from flask.cli import AppGroup

from mall import (
    addresses,
    audit,
    benefits,
    campaigns,
    checkins,
    clock,
    codes,
    gates,
    holds,
    idempotency,
    ledger,
    packs,
    phones,
    points,
    reactions,
    redemptions,
    referrals,
    tier_gifts,
    tiers,
    vouchers,
)
from mall.atomic import rehearsal
from mall.guards import skew
from mall.job_runs import noted, runs

EVERY_S = 1.0
GATES_EVERY_S = 5.0
REPAIR_EVERY_S = 10.0
EXPIRE_EVERY_S = 60.0
MAX_BATCHES = 1000
BY_HAND = "as a step of nightly, or by hand"
NIGHTLY = ("activate-pending", "review-tiers", "expire-points", "review-tiers")
NICE = 5


def _until_done(batch: Callable[[], int]) -> int:
    """Run batches until one finds nothing, within a bound; answers how much was done."""
    total = 0
    for _ in range(MAX_BATCHES):
        done = batch()
        total += done
        if not done:
            break
    return total


def drain_events() -> int:
    """Tell facts to those who react, then grant promised points that have come due."""
    told = _until_done(lambda: reactions.drain(now=clock.now()))
    return told + _until_done(lambda: referrals.reward_due(now=clock.now()))


def keep_gates() -> int:
    """Sweep leases nobody ended, rebuild gates that are absent or wrong."""
    gates.keep(route=redemptions.ROUTE)
    return 0


def activate_pending() -> int:
    """Grant promised points that have come due."""
    return _until_done(lambda: referrals.reward_due(now=clock.now()))


def expire_points() -> int:
    """Write off points whose time has come."""
    return _until_done(lambda: points.expire_due(now=clock.now()))


def nightly() -> int:
    """Activate what is pending, review tiers, expire points, review again: in this order, always.

    Points that come due on the day others end come first, under the tier held till then; a review
    sees both before any of them goes, and once more what is left.
    """
    return sum(JOBS[name][0]() for name in NIGHTLY)


def remind_points() -> int:
    """Write down who is to be told of points that end soon."""
    return _until_done(lambda: points.remind_due(now=clock.now()))


def expire_vouchers() -> int:
    """Mark vouchers whose time has come, and their redemptions."""
    return _until_done(lambda: vouchers.expire_due(now=clock.now()))


def expire_holds() -> int:
    """Give back held points whose time is over."""
    return _until_done(lambda: holds.expire_due(now=clock.now()))


def give_tier_gifts() -> int:
    """Give what was sold out when members rose to a tier, for a week."""
    return tier_gifts.catch_up(now=clock.now())


def give_birthday_packs() -> int:
    """Give members what their birthday brings, once a year."""
    return _until_done(lambda: packs.birthdays(now=clock.now()))


def run_campaigns() -> int:
    """Give the members of running points campaigns what is theirs."""
    return _until_done(lambda: campaigns.give_batch(now=clock.now()))


def prove_ledger() -> int:
    """Prove the ledger; what does not add up becomes an alarm."""
    return len(ledger.prove(now=clock.now())["mismatches"])


def repair_streaks() -> int:
    """Mend the streaks that a named outage broke."""
    return _until_done(lambda: checkins.repair(now=clock.now()))


def review_tiers() -> int:
    """Put new tier rules in force, end grants, review who keeps a tier and who does not."""
    return _until_done(lambda: tiers.review(now=clock.now()))


def apply_tier_rules() -> int:
    """Put new tier rules in force, and carry them to the members."""
    return _until_done(lambda: tiers.apply_rules(now=clock.now()))


def expire_benefits() -> int:
    """Write off uses of benefits whose period is over."""
    return _until_done(lambda: benefits.expire_due(now=clock.now()))


def forget_marks() -> int:
    """Forget devices, addresses and touches that referrals need no more."""
    return _until_done(lambda: referrals.forget_marks(now=clock.now()))


def watch_clocks() -> int:
    """Warn where this machine's clock or Redis' is not the database's."""
    return skew.watch()


def prune() -> int:
    """Empty old answers, forget old codes."""
    now: datetime = clock.now()
    codes.forget_uses(now=now)
    return _until_done(lambda: idempotency.prune(now=now))


def collect_audit() -> int:
    """Add what tills did to the audit log's chain."""
    return _until_done(audit.collect)


def seal_personal() -> int:
    """Seal phone numbers and addresses that a version before this one left in the clear."""
    return phones.seal_all() + addresses.seal_all()


JOBS: dict[str, tuple[Callable[[], int], object]] = {
    "drain-events": (drain_events, timedelta(seconds=EVERY_S)),
    "keep-gates": (keep_gates, timedelta(seconds=GATES_EVERY_S)),
    "nightly": (nightly, crontab(minute="5")),  # hourly: what a night missed is made up
    "activate-pending": (activate_pending, BY_HAND),
    "review-tiers": (review_tiers, BY_HAND),
    "expire-points": (expire_points, BY_HAND),
    "remind-points": (remind_points, crontab(hour="9", minute="0")),
    "expire-vouchers": (expire_vouchers, timedelta(seconds=EXPIRE_EVERY_S)),
    "expire-holds": (expire_holds, timedelta(seconds=EXPIRE_EVERY_S)),
    "birthday-packs": (give_birthday_packs, crontab(minute="20")),
    "tier-gifts": (give_tier_gifts, crontab(minute="40")),
    "run-campaigns": (run_campaigns, timedelta(seconds=REPAIR_EVERY_S)),
    "prove-ledger": (prove_ledger, crontab(hour="4", minute="10")),
    "repair-streaks": (repair_streaks, timedelta(seconds=REPAIR_EVERY_S)),
    "apply-tier-rules": (apply_tier_rules, timedelta(seconds=EXPIRE_EVERY_S)),
    "expire-benefits": (expire_benefits, timedelta(seconds=EXPIRE_EVERY_S)),
    "forget-marks": (forget_marks, crontab(hour="3", minute="40")),
    "collect-audit": (collect_audit, timedelta(seconds=GATES_EVERY_S)),
    "seal-personal": (seal_personal, crontab(hour="3", minute="50")),
    "watch-clocks": (watch_clocks, timedelta(seconds=EXPIRE_EVERY_S)),
    "prune": (prune, crontab(minute="35")),
}


ONLY_LOOKS: dict[str, Callable[[], int]] = {  # Redis undoes nothing
    "keep-gates": gates.faults,
    "watch-clocks": watch_clocks,
}


def schedules() -> list[dict[str, Any]]:
    """Every job with its schedule and its last run, as the console shows them."""
    last = runs()
    return [
        {"name": name, "schedule": _told(when), "last_run": last.get(name)}
        for name, (_, when) in JOBS.items()
    ]


def _told(when: object) -> str:
    """A schedule in words: every so many seconds, or minute and hour of the shop's day."""
    if isinstance(when, str):
        return when
    if isinstance(when, crontab):
        return f"{when._orig_minute} {when._orig_hour} * * *"
    assert isinstance(when, timedelta)
    return f"every {when.total_seconds():g} s"


def make_celery(app: Flask) -> Celery:
    """The worker's Celery: the schedule above, each job inside the application."""
    celery = Celery("mall", broker=_broker(app.config["REDIS_URL"]))
    celery.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        timezone=app.config["SHOP_TIMEZONE"],
        beat_schedule={
            name: {"task": name, "schedule": when, "options": {"expires": 60}}
            for name, (_, when) in JOBS.items()
            if when != BY_HAND
        },
    )
    for name, (work, _) in JOBS.items():
        celery.task(name=name, shared=False)(_inside(app, name, work))
    return celery


def _broker(redis_url: str) -> str:
    return redis_url.replace("unix://", "redis+socket://", 1)


def _inside(app: Flask, name: str, work: Callable[[], int]) -> Callable[[], int]:
    def run() -> int:
        with app.app_context():
            return noted(name, work)

    return run


commands = AppGroup("jobs", help="What is done without being asked.")


@commands.command("run")
@click.argument("name", type=click.Choice(list(JOBS)))
@click.option("--dry-run", is_flag=True, help="Print how much it would do; nothing stands.")
def run_job(name: str, dry_run: bool) -> None:
    """Run one job and print how much it did."""
    click.echo(rehearse(name) if dry_run else noted(name, JOBS[name][0]))


def rehearse(name: str) -> int:
    """How much a job would do now. It does it, in a transaction that is undone."""
    if name in ONLY_LOOKS:
        return ONLY_LOOKS[name]()
    with rehearsal():
        return JOBS[name][0]()


@commands.command("work")
@click.option("--threads", default=2, show_default=True)
def work(threads: int) -> None:
    """Do what the beat asks for, in the foreground; shoppers go first where cores are few."""
    os.nice(NICE)
    options = ["--pool=threads", f"--concurrency={threads}", "--without-gossip", "--without-mingle"]
    _celery().worker_main(["--quiet", "worker", "--loglevel=WARNING", *options])


@commands.command("beat")
@click.option("--notes", type=click.Path(), required=True, help="Where it notes what has run.")
def beat(notes: str) -> None:
    """Ask for each job when its time comes, in the foreground; there must be one of these."""
    _celery().start(["--quiet", "beat", "--loglevel=WARNING", f"--schedule={notes}", "--pidfile="])


def _celery() -> Celery:
    celery: Celery = current_app.extensions["celery"]
    return celery
