"""Dependencies point one way: app, blueprints, mall, models; and inside mall by level."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("app", "blueprints", "mall", "models")
MAY_IMPORT = {
    "app": {"blueprints", "mall", "models"},
    "blueprints": {"blueprints", "mall", "models"},
    "mall": {"mall", "models"},
    "models": {"models"},
}
# Left never imports right; neighbours in a level never import each other. A package is one module.
LEVELS = [
    ["errors", "keys", "settings", "clock"],
    ["atomic", "tokens", "wechat"],
    ["events", "idempotency", "guards", "serve"],
    ["shop", "members", "staff", "stores", "codes", "code_images"],
    ["points", "tiers", "earning_rules", "rewards", "limits", "vouchers", "ledger"],
    ["checkins", "referrals", "purchases", "adjustments", "gates"],
    ["redemptions", "login", "scans", "imports"],
    ["reactions", "demo"],
    ["jobs", "commands"],
]
LEVEL_OF = {module: level for level, modules in enumerate(LEVELS) for module in modules}


def imports_of(file: Path) -> Iterator[str]:
    """The full names of what a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files_of(package: str) -> list[Path]:
    return [ROOT / "app.py"] if package == "app" else sorted((ROOT / package).rglob("*.py"))


def of_mall(name: str) -> str | None:
    """The module of mall that a full name belongs to."""
    parts = name.split(".")
    return parts[1] if parts[0] == "mall" and len(parts) > 1 else None


@pytest.mark.parametrize("package", OURS)
def test_a_layer_imports_only_layers_below_it(package: str):
    sandbox = ROOT / "blueprints" / "sandbox"
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files_of(package)
        if sandbox not in file.parents
        for name in imports_of(file)
        if (top := name.partition(".")[0]) in (*OURS, "tests") and top not in MAY_IMPORT[package]
    ]

    assert wrong == []


def test_every_module_of_mall_has_its_level():
    modules = {file.stem for file in (ROOT / "mall").glob("*.py")} - {"__init__"}
    packages = {file.parent.name for file in (ROOT / "mall").glob("*/__init__.py")}

    assert modules | packages == set(LEVEL_OF)


def test_inside_mall_nothing_imports_to_the_right_or_a_neighbour():
    wrong = [
        f"{module} imports {other}"
        for file in files_of("mall")
        if (module := file.relative_to(ROOT / "mall").parts[0].removesuffix(".py")) in LEVEL_OF
        for name in imports_of(file)
        if (other := of_mall(name)) in LEVEL_OF
        and other != module
        and LEVEL_OF[other] >= LEVEL_OF[module]
    ]

    assert wrong == []


def test_the_sandbox_shares_nothing_with_the_program_it_answers():
    sandbox = ROOT / "blueprints" / "sandbox"
    taken = [name for file in sandbox.glob("*.py") for name in imports_of(file)]
    given = [
        name
        for package in OURS
        for file in files_of(package)
        if sandbox not in file.parents
        for name in imports_of(file)
    ]

    assert [name for name in taken if name.partition(".")[0] in OURS] == []
    assert [name for name in given if name.startswith("blueprints.sandbox")] == []


def test_one_module_talks_to_wechat():
    users = {
        file.relative_to(ROOT).as_posix()
        for package in OURS
        for file in files_of(package)
        if any(name.partition(".")[0] == "wechatpy" for name in imports_of(file))
    }

    assert users == {"mall/wechat.py"}
