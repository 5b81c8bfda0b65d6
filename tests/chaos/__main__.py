"""Run the experiments in their long form and print a table that says what held on which machine.

    python -m tests.chaos [X2 X5 ...] [--database postgresql|sqlite|both] [--members N]

Ends with 1 where an experiment failed; the histories of those are kept and named.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.chaos.experiments import clocks, crowd, database, days, gate
from tests.chaos.ground import Ground, ground
from tests.chaos.trial import HEADER, Trial, machine

SHARED: dict[str, Callable[[Ground], Trial]] = {
    "X1": crowd.x1,
    "X2": crowd.x2,
    "X4": gate.x4,
    "X5": gate.x5,
    "X6": gate.x6,
    "X7": database.x7,
    "X9": crowd.x9,
    "X10": crowd.x10,
    "X11": crowd.x11,
    "X12": crowd.x12,
}
OWN = {
    "X8": database.x8,
    "X15": clocks.x15,
    "X16": days.x16,
}  # these stand on a ground made for them
ON_POSTGRESQL_ONLY = {"X7", "X8", "X15"}  # SQLite has no clock of its own
WRONG_CLOCKS = ((86_400, "-1d"), (-3_600, "+1d"))  # the application's, and Redis'
NAMES = sorted([*SHARED, *OWN], key=lambda name: int(name[1:]))
MEMBERS = 5000
FEW_MEMBERS = 50
MIDNIGHT_IN_S = 60


def main() -> int:
    asked = _parser().parse_args()
    names = [name for name in NAMES if not asked.names or name in asked.names]
    kinds = ["postgresql", "sqlite"] if asked.database == "both" else [asked.database]
    print(f"{machine()}\n\n{HEADER}", flush=True)
    trials = [trial for kind in kinds for trial in _on(kind, names, asked.members)]
    failed = [trial for trial in trials if not trial.passed]
    print(f"\n{len(trials) - len(failed)} of {len(trials)} passed", flush=True)
    return 1 if failed else 0


def _on(kind: str, names: Sequence[str], members: int) -> list[Trial]:
    names = [name for name in names if kind == "postgresql" or name not in ON_POSTGRESQL_ONLY]
    shared = [name for name in names if name in SHARED]
    done = []
    if shared:
        with ground(kind, members=members) as standing:
            done += [_run(SHARED[name], name, standing) for name in shared]
    if "X8" in names:
        with ground(kind, proxied=True, members=FEW_MEMBERS) as standing:
            done.append(_run(OWN["X8"], "X8", standing))
    if "X15" in names:
        for ours, theirs in WRONG_CLOCKS:
            redis_clock = clocks.of_redis(theirs)
            with ground(
                kind, members=1, redis_clock=redis_clock, **clocks.of_python(ours)
            ) as standing:
                experiment = partial(clocks.x15, wrong=f"application {ours:+} s, Redis {theirs}")
                done.append(_run(experiment, "X15", standing))
    if "X16" in names:
        offset = str(days.offset_to_midnight_s(in_s=MIDNIGHT_IN_S))
        with ground(kind, members=FEW_MEMBERS, CLOCK_OFFSET_S=offset) as standing:
            done.append(_run(OWN["X16"], "X16", standing))
    return done


def _run(experiment: Callable[[Ground], Trial], name: str, standing: Ground) -> Trial:
    """Run one; one that can't be carried to its end has failed, and the next still runs."""
    started = time.monotonic()
    try:
        trial = experiment(standing)
    except Exception as error:
        trial = Trial(name, "carried to its end", standing, started_at=started).end()
        trial.faults.append(f"{type(error).__name__}: {error}".replace("\n", " ")[:500])
    print(trial.row(), flush=True)
    if not trial.passed:
        _keep(trial)
    return trial


def _keep(trial: Trial) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{trial.name}-"))
    trial.history.write(folder / "history.jsonl")
    with contextlib.suppress(OSError):
        (folder / "output").write_text(trial.ground.output())
    print(f"{trial.name}: what clients saw and what the shop said is in {folder}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="X1", type=str.upper)
    parser.add_argument("--database", choices=["postgresql", "sqlite", "both"], default="both")
    parser.add_argument("--members", type=int, default=MEMBERS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
