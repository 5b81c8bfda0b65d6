"""Play schedules of the redemption protocol, and replay one that failed.

python -m tests.stepper --schedules N [--first SEED]   many, by seeds; ends with 1 at a failure
python -m tests.stepper --points                       every single fault of every scenario
python -m tests.stepper --seed N                       one again, with its trace
python -m tests.stepper --point SCENARIO CALL FAULT    one single fault again, with its trace
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mall.staff import passwords
from tests import servers
from tests.stepper.faults import Fault
from tests.stepper.play import Ground, Played, ground, play_point, play_seed, points
from tests.stepper.scenarios import CANONICAL

ON_ONE_GROUND = 5_000  # then a new database: an old one only gets slower
TOLD_EVERY_S = 5.0
Named = tuple[str, Callable[[Ground], Played]]  # how to replay it, and how to play it


@dataclass
class Sums:
    """What the schedules so far came to."""

    schedules: int = 0
    calls: int = 0
    unknown: int = 0
    attempts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)

    def add(self, played: Played) -> None:
        self.schedules += 1
        self.calls += played.schedule.calls
        self.unknown += played.unknown
        self.attempts += len(played.history.attempts)
        self.faults += played.faults

    def line(self) -> str:
        elapsed_s = time.monotonic() - self.started
        return (
            f"{self.schedules} schedules, {self.calls} calls, {self.faults.total()} faults, "
            f"{self.attempts} deliveries of which {self.unknown} ended unknown, {elapsed_s:.0f} s"
        )


@contextmanager
def grounds(database: str) -> Iterator[Callable[[], Ground]]:
    """Makes a ground of its own whenever asked, on one pair of servers."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(servers.redis_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mall-steps-")))
        if database == "postgresql":
            url = stack.enter_context(servers.postgresql_server())
            if url is None:
                raise SystemExit("PostgreSQL's binaries are not on this machine")
            only = stack.enter_context(ground(url % "postgres", redis_url, folder))
            yield lambda: only
            return
        inner = stack.enter_context(ExitStack())

        def another() -> Ground:
            inner.close()
            name = f"{secrets.token_hex(4)}.db"
            return inner.enter_context(ground(f"sqlite:///{folder}/{name}", redis_url, folder))

        yield another


def run(make: Callable[[], Ground], named: Iterable[Named], sums: Sums) -> bool:
    """Play them all; False at the first that fails, which is told."""
    told_at, shown = time.monotonic(), sys.stderr.isatty()
    for number, (name, play) in enumerate(named):
        if number % ON_ONE_GROUND == 0:
            on = make()
        played = play(on)
        sums.add(played)
        if played.wrong:
            print(
                f"{played.told()}\n\nFailed after {sums.line()}. Again: python -m tests.stepper {name}"
            )
            return False
        if time.monotonic() - told_at > TOLD_EVERY_S:
            told_at = time.monotonic()
            print(sums.line(), end="\r" if shown else "\n", file=sys.stderr, flush=True)
    return True


def by_seeds(first: int, schedules: int) -> Iterator[Named]:
    for seed in range(first, first + schedules):
        yield f"--seed {seed}", lambda on, seed=seed: play_seed(on, seed)


def by_points(on: Ground) -> Iterator[Named]:
    for name in CANONICAL:
        for at, fault in points(on, name):
            yield (
                f"--point {name} {at} {fault}",
                lambda on, name=name, at=at, fault=fault: play_point(on, name, at, fault),
            )


def main() -> None:
    asked = _parser().parse_args()
    passwords.hasher = passwords.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with grounds(asked.database) as make:
        if asked.seed is not None or asked.point:
            _replay(make(), asked)
            return
        sums = Sums()
        if asked.points:
            named: Iterable[Named] = by_points(make())
        else:
            first = secrets.randbelow(2**40) if asked.first is None else asked.first
            print(f"{asked.schedules} schedules from seed {first} on {asked.database}")
            named = by_seeds(first, asked.schedules)
        if not run(make, named, sums):
            raise SystemExit(1)
        print(sums.line())
        print(", ".join(f"{number} {fault}" for fault, number in sums.faults.most_common()))


def _replay(on: Ground, asked: argparse.Namespace) -> None:
    if asked.seed is not None:
        played = play_seed(on, asked.seed)
    else:
        name, at, fault = asked.point
        played = play_point(on, name, int(at), Fault(fault))
    print(played.told())
    raise SystemExit(1 if played.wrong else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.stepper", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--schedules", type=int, metavar="N")
    what.add_argument("--points", action="store_true")
    what.add_argument("--seed", type=int, metavar="N")
    what.add_argument("--point", nargs=3, metavar=("SCENARIO", "CALL", "FAULT"))
    parser.add_argument("--first", type=int, metavar="SEED")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    return parser


if __name__ == "__main__":
    main()
