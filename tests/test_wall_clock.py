"""Nobody but mall/clock.py reads the machine's clock: a wrong one moves no day, expiry or streak."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OF_TIME = {"time", "time_ns", "localtime", "gmtime", "ctime", "strftime"}
OF_DATETIME = {"now", "utcnow", "today"}
OF_SQL = {"now", "current_timestamp", "current_date", "localtimestamp", "clock_timestamp"}
WORDS_OF_SQL = ("current_timestamp", "current_date", "now()", "clock_timestamp(", "'now'")
ALLOWED = {
    "mall/clock.py": {"time.time", "SQL clock_timestamp("},  # the one place
    # WeChat as it answers, a program of its own that decides nothing of ours
    "blueprints/sandbox/tokens.py": {"time.time"},
    "blueprints/sandbox/page.py": {"datetime.now"},
    "blueprints/sandbox/users.py": {"time.time", "datetime.now"},
    "blueprints/sandbox/calls.py": {"time.time"},
}
FILES = [ROOT / "app.py"] + [
    path
    for layer in ("mall", "blueprints", "models")
    for path in sorted((ROOT / layer).rglob("*.py"))
    if "migrations" not in path.parts  # a migration writes when it ran, and nothing hangs on it
]


def readers(source: str) -> Iterator[str]:
    """What in a file reads the machine's clock, or has SQL read one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            of = ast.unparse(node.value).rpartition(".")[2]
            if of == "time" and node.attr in OF_TIME:
                yield f"time.{node.attr}"
            if of in ("datetime", "date") and node.attr in OF_DATETIME:
                yield f"{of}.{node.attr}"
            if of == "func" and node.attr in OF_SQL:
                yield f"func.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{each.name}" for each in node.names if each.name in OF_TIME)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value.lower()
            if said.lstrip().startswith(("select", "update", "insert")):
                yield from (f"SQL {word}" for word in WORDS_OF_SQL if word in said)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_clock_reads_the_time(path):
    allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())

    assert set(readers(path.read_text(encoding="utf-8"))) == allowed


@pytest.mark.parametrize(
    "source",
    [
        "import time; time.time()",
        "from time import time_ns",
        "import datetime; datetime.datetime.now()",
        "from datetime import date; date.today()",
        "from datetime import datetime; f(default=datetime.utcnow)",
        "import sqlalchemy as sa; sa.func.now()",
        "sa.text('SELECT CURRENT_TIMESTAMP')",
    ],
)
def test_the_reader_sees_every_way_to_read_it(source):
    assert len(list(readers(source))) == 1


def test_what_reads_no_clock_is_left_alone():
    assert not list(readers("clock.now(); time.monotonic(); datetime.fromtimestamp(0); now()"))
