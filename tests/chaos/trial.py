"""One experiment's verdict: what was required, what was measured, what did not hold."""

import platform
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests import servers
from tests.chaos import history as judge
from tests.chaos.fleet import History, resolve
from tests.chaos.ground import Ground


@dataclass
class Trial:
    """An experiment under way, and afterwards a row of the table."""

    name: str
    criterion: str
    ground: Ground
    history: History = field(default_factory=History)
    measured: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def measure(self, **facts: object) -> None:
        self.measured += [f"{name.replace('_', ' ')} {fact}" for name, fact in facts.items()]

    def require(self, true: bool, otherwise: str) -> None:
        if not true:
            self.faults.append(otherwise)

    def settle(self, rewards: Iterable[int], *, gates: bool = True) -> "Trial":
        """Ask again what stayed open, then let the judge hold everything against SQL."""
        rewards = list(rewards)
        unknown = self.history.count(lambda call: call.verdict == "unknown")
        left_open = resolve(self.ground.port, self.history)
        self.measure(calls=len(self.history.calls), granted=self.history.done(), unknown=unknown)
        self.require(not left_open, f"{left_open} outcomes stayed open")
        self.faults += judge.faults(self.ground, self.history, rewards)
        if gates:
            quiet = judge.gates_agree(self.ground, rewards)
            self.measure(gates_agree_after_s=quiet.seconds)
            self.faults += quiet.faults
        return self.end()

    def end(self) -> "Trial":
        self.seconds = round(time.monotonic() - self.started_at, 1)
        return self

    @property
    def passed(self) -> bool:
        return not self.faults

    def row(self) -> str:
        verdict = "pass" if self.passed else "FAIL: " + "; ".join(self.faults)
        cells = (
            f"{self.name} ({self.ground.kind})",
            self.criterion,
            ", ".join(self.measured),
            verdict,
            str(self.seconds),
        )
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"

    def assert_passed(self) -> None:
        """For the suite: fail with the sentences, and leave the history to be read."""
        if not self.passed:
            _, path = tempfile.mkstemp(prefix=f"chaos-{self.name}-", suffix=".jsonl")
            self.history.write(Path(path))
            said = "\n".join([*self.faults, *self.measured, f"the history is in {path}"])
            raise AssertionError(f"{self.name}\n{said}")


HEADER = "| experiment | criterion | measured | verdict | seconds |\n|---|---|---|---|---|"


def machine() -> str:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    binaries = servers.postgresql_binaries()
    versions = [_version(str(binaries / "postgres"))] if binaries else []
    versions += [_version(servers.redis_binary()), f"Python {platform.python_version()}"]
    return f"{len(models)} x {models[0] if models else 'unknown'}; " + "; ".join(versions)


def _version(binary: str) -> str:
    done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()
