"""Import real households as a shopkeeper would, and say what each step took.

    python -m tests.real --households N|all [--seed S]

The importer works on the shop that the environment names (DATA_DIR, DATABASE_URL, REDIS_URL).
Ends with 1 if a step fails, a row is refused, or the rows answered are not the rows written.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RSS_UNITS_PER_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10
FLASK = [sys.executable, "-m", "flask", "--app", "app"]
SHOWN = 5
COUNTED = ("created", "updated", "known", "refused_count")


@dataclass(frozen=True)
class Step:
    """One finished process: what it answered, how long it ran, how much memory it held."""

    name: str
    answer: dict[str, Any]
    seconds: float
    peak_rss_mb: int

    def __str__(self) -> str:
        numbers = {name: n for name, n in self.answer.items() if type(n) is int}
        facts = "  ".join(f"{name}={number}" for name, number in numbers.items())
        return f"{self.name:<17} {self.seconds:8.1f} s {self.peak_rss_mb:6d} MB  {facts}"


def main() -> None:
    """Make the two files, import both, and report."""
    asked = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="real-households-") as folder:
        out = Path(folder)
        for words in (["shop", "migrate"], ["shop", "open"]):
            subprocess.run([*FLASK, *words], cwd=ROOT, check=True)
        made = _report(run("households", _making(asked, out)))
        members = _report(run("import members", _importing("members", out)))
        purchases = _report(run("import purchases", _importing("purchases", out)))
    faults = [
        *missing_rows(members, made.answer["households"]),
        *missing_rows(purchases, made.answer["receipts"]),
    ]
    if faults:
        raise SystemExit("\n".join(faults))


def run(name: str, command: list[str]) -> Step:
    """Run one process to its end, showing what it says, and measure it alone.

    wait4 tells the peak of this very child; a child's peak can never read lower than its
    parent's, which is why this process does not load the data itself.
    """
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        answer = _listen(process)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{name} ended with {process.returncode}")
    if answer is None:
        raise SystemExit(f"{name} printed no summary")
    elapsed_s = time.monotonic() - started
    return Step(name, answer, elapsed_s, usage.ru_maxrss // RSS_UNITS_PER_MB)


def missing_rows(step: Step, written: int) -> list[str]:
    """Name what an import refused or lost; nothing to name is an empty list."""
    counts = {word: step.answer.get(word, 0) for word in COUNTED}
    faults = []
    if counts["refused_count"]:
        refused = [f"line {row['line']}: {row['reason']}" for row in step.answer["refused"][:SHOWN]]
        faults.append(f"{step.name}: {counts['refused_count']} rows refused; {'; '.join(refused)}")
    if sum(counts.values()) != written:
        faults.append(f"{step.name}: {written} rows written, {sum(counts.values())} answered")
    return faults


def _listen(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """Pass every line on but the summary, the one that is a JSON object."""
    assert process.stdout is not None
    answer = None
    for line in process.stdout:
        if line.startswith("{"):
            answer = json.loads(line)
        else:
            print(line, end="", flush=True)
    return answer


def _making(asked: argparse.Namespace, out: Path) -> list[str]:
    command = [sys.executable, "-m", "tests.real.households"]
    command += ["--households", asked.households, "--out", str(out)]
    return command if asked.seed is None else [*command, "--seed", str(asked.seed)]


def _importing(what: str, out: Path) -> list[str]:
    command = [*FLASK, "imports", what, str(out / f"{what}.csv")]
    return [*command, "--open-stores"] if what == "purchases" else command


def _report(step: Step) -> Step:
    print(step, flush=True)
    return step


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--households", required=True, metavar="N|all")
    parser.add_argument("--seed", type=int, help="sample by this seed instead of the lowest ids")
    return parser


if __name__ == "__main__":
    main()
