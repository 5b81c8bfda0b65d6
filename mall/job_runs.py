"""The last run of each job: written down by whoever runs it, so that anybody can see it happens."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app

from mall import clock
from mall.atomic import atomic
from models import JobRun, db
from models.base import insert

log = logging.getLogger(__name__)

QUIET_S = 60.0  # a run that did nothing is noted this often: some jobs run every second
LONGEST_ERROR = 200


def noted(name: str, work: Callable[[], int]) -> int:
    """Do a job and note how it went; answers how much it did."""
    started_at = clock.now()
    try:
        done = work()
    except Exception as error:
        _note(name, started_at, 0, f"{type(error).__name__}: {error}"[:LONGEST_ERROR])
        raise
    if done or _is_due(name):
        _note(name, started_at, done, "")
    return done


def _is_due(name: str) -> bool:
    last: dict[str, float] = current_app.extensions.setdefault("job_runs", {})
    return time.monotonic() - last.get(name, -QUIET_S) >= QUIET_S


def _note(name: str, started_at: datetime, done: int, error: str) -> None:
    """Write a run down. What it did has happened, even where this can't be written."""
    current_app.extensions.setdefault("job_runs", {})[name] = time.monotonic()
    run = {"started_at": started_at, "finished_at": clock.now(), "done": done, "error": error}
    failed = int(bool(error))
    more = {"done_in_all": JobRun.done_in_all + done, "failures": JobRun.failures + failed}
    try:
        statement = insert(JobRun).values(name=name, **run, done_in_all=done, failures=failed)
        noted = statement.on_conflict_do_update(index_elements=["name"], set_={**run, **more})
        with atomic() as transaction:
            transaction.execute(noted)
    except Exception as problem:
        log.warning("the run of %s could not be noted: %s", name, problem)


def runs() -> dict[str, dict[str, Any]]:
    """The last run of each job that has run."""
    return {run.name: _view(run) for run in db.session.scalars(sa.select(JobRun))}


def _view(run: JobRun) -> dict[str, Any]:
    return {
        "started_at": clock.rfc3339(run.started_at),
        "finished_at": clock.rfc3339(run.finished_at),
        "done": run.done,
        "done_in_all": run.done_in_all,
        "error": run.error or None,
        "failures": run.failures,
    }
