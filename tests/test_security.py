"""The table of threats names tests that are there; nothing of ours calls out but to WeChat."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_imports import ALL, ROOT, imported

DOC = ROOT / "docs" / "security.md"
TABLE = DOC.read_text(encoding="utf-8").split("<!-- threats")[1].split("<!-- /threats")[0]
ROWS = [line for line in TABLE.splitlines() if re.match(r"\| T\d+ ", line)]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)
CALL_OUT = {"requests", "httpx", "aiohttp", "urllib3", "urllib.request", "smtplib", "ftplib"}
MAY = {"mall/wechat"}


def test_every_threat_has_its_row():
    assert [row.split("|")[1].strip() for row in ROWS] == [f"T{n}" for n in range(1, 21)]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_is_named_is_there(file, name):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))

    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_what_has_no_test_says_so():
    untested = [row for row in ROWS if "`tests/" not in row]

    assert all(row.endswith("| none yet |") for row in untested) and len(untested) <= 2


@pytest.mark.parametrize(("layer", "path"), ALL, ids=lambda each: getattr(each, "stem", each))
def test_nothing_but_wechats_package_calls_out(layer, path):
    """T17: no address that a user gave is ever fetched, for nothing here can fetch one."""
    modules = {*imported(path)}
    calls_out = any(
        name == out or name.startswith(f"{out}.") for name in modules for out in CALL_OUT
    )

    place = path.relative_to(ROOT)
    assert not calls_out or any(place.is_relative_to(Path(each)) for each in MAY)
