"""Who runs next and what strikes: decided by a list of points, or by a seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.stepper.faults import BESIDE, Fault, Port
from tests.stepper.schedule import Worker

STICKY = (0.0, 0.5, 0.8, 0.95)
FAULTS_WANTED = (0, 1, 1, 2, 2, 3, 4, 6)
CALLS_OF_A_REQUEST = 22
CALLS_OF_A_SCENARIO = 34
COPIES = 0.02


@dataclass
class Points:
    """The faults of a few named calls; workers run one after the other, or in turns."""

    faults: Mapping[int, Fault] = field(default_factory=dict)
    turns: bool = False

    def choose(self, ready: list[Worker], last: Worker | None) -> Worker:
        if last is None:
            return ready[0]
        return ready[(ready.index(last) + 1) % len(ready)] if self.turns else last

    def strike(self, at: int, port: Port, worker: Worker) -> Fault | None:
        return self.faults.get(at)


class Seeded:
    """Everything by the seed; `requests` says how long the schedule will be, more or less."""

    def __init__(self, rng: random.Random, requests: int) -> None:
        self.rng = rng
        self.sticky = rng.choice(STICKY)
        self.left = rng.choice(FAULTS_WANTED)
        self.rate = self.left / (CALLS_OF_A_REQUEST * max(requests, 1))

    def choose(self, ready: list[Worker], last: Worker | None) -> Worker:
        if last is not None and self.rng.random() < self.sticky:
            return last
        return self.rng.choice(ready)

    def strike(self, at: int, port: Port, worker: Worker) -> Fault | None:
        if self.rng.random() < COPIES:
            return Fault.COPIED
        if not self.left or self.rng.random() >= self.rate:
            return None
        self.left -= 1
        return self.rng.choice(port.strikes() if self.rng.random() < 0.6 else BESIDE)


class Pair:
    """Two faults at two calls of a canonical scenario."""

    def __init__(self, rng: random.Random, *, turns: bool) -> None:
        self.rng, self.points = rng, Points(turns=turns)
        self.at = set(rng.sample(range(CALLS_OF_A_SCENARIO), 2))

    def choose(self, ready: list[Worker], last: Worker | None) -> Worker:
        return self.points.choose(ready, last)

    def strike(self, at: int, port: Port, worker: Worker) -> Fault | None:
        return self.rng.choice(port.strikes() + BESIDE) if at in self.at else None
