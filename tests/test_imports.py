"""Who may import whom: app, then blueprints, then mall, then models; and inside mall from left to right.

A package of mall (points, redemptions, guards, serve) counts as one module; inside it all is free.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("app", "blueprints", "mall", "models")
LEVELS = (  # left never imports right, and neighbours in a level never import each other
    ("errors", "clock", "keys", "settings", "aside", "breaker"),
    ("atomic", "gathering", "guards", "tokens", "wechat"),
    ("events", "idempotency", "job_runs", "metrics", "audit", "shop"),
    ("phones",),
    (
        "members",
        "addresses",
        "stores",
        "store_stock",
        "staff",
        "tiers",
        "codes",
        "code_images",
        "touches",
        "limits",
        "actions",
        "segments",
        "expiry_policies",
    ),
    ("points", "rewards", "vouchers", "gates", "benefits", "closed"),
    ("bundles", "earning", "tuning", "payments", "receipts"),
    (
        "checkins",
        "purchases",
        "referrals",
        "channels",
        "redemptions",
        "adjustments",
        "refunds",
        "profiles",
        "holds",
        "transfers",
        "packs",
        "tier_gifts",
        "reviews",
        "messages",
        "pickups",
    ),
    ("tasks",),
    (
        "login",
        "scans",
        "imports",
        "ledger",
        "demo",
        "undo",
        "merges",
        "assets",
        "campaigns",
        "privacy",
    ),
    ("reactions",),
    ("jobs", "commands", "serve"),
)
SANDBOX = ROOT / "blueprints" / "sandbox"


def files_of(layer: str) -> list[Path]:
    if layer == "app":
        return [ROOT / "app.py"]
    return sorted(path for path in (ROOT / layer).rglob("*.py") if not path.is_relative_to(SANDBOX))


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{_source(node, path)}.{alias.name}" for alias in node.names)


def _source(node: ast.ImportFrom, path: Path) -> str:
    """The full name of what is imported from, where it is written with leading dots too."""
    if not node.level:
        return str(node.module)
    package = path.relative_to(ROOT).parts[: -node.level]
    return ".".join([*package, *filter(None, [node.module])])


def ours(path: Path) -> set[str]:
    """The layers that a file imports."""
    return {name.partition(".")[0] for name in imported(path)} & {*LAYERS, "tests"}


def mall_module(path: Path) -> str:
    return path.relative_to(ROOT / "mall").parts[0].removesuffix(".py")


def mall_modules_of(path: Path) -> set[str]:
    """The modules of mall that a file imports."""
    parts = [name.split(".") for name in imported(path)]
    return {each[1] for each in parts if each[0] == "mall" and len(each) > 1}


LEVEL_OF = {module: level for level, row in enumerate(LEVELS) for module in row}
ALL = [(layer, path) for layer in LAYERS for path in files_of(layer)]


@pytest.mark.parametrize(("layer", "path"), ALL, ids=lambda each: getattr(each, "stem", each))
def test_a_layer_imports_only_itself_and_those_below_it(layer, path):
    allowed = set(LAYERS[LAYERS.index(layer) :])

    assert ours(path) <= (allowed if layer != "app" else allowed - {"app"})


@pytest.mark.parametrize(
    "path", files_of("mall"), ids=lambda path: f"{path.parent.name}.{path.stem}"
)
def test_a_module_of_mall_imports_only_those_left_of_its_level(path):
    module = mall_module(path)
    if module == "__init__":
        assert not list(imported(path)), "mall itself is empty"
        return

    used = mall_modules_of(path) - {module}

    assert module in LEVEL_OF, f"{module} has no level yet: add it to LEVELS where it fits"
    assert {each for each in used if LEVEL_OF[each] >= LEVEL_OF[module]} == set()


def test_every_level_holds_modules_that_are_there_and_none_twice():
    there = {mall_module(path) for path in files_of("mall")} - {"__init__"}

    assert set(LEVEL_OF) == there
    assert sum(len(row) for row in LEVELS) == len(there)


@pytest.mark.parametrize("path", sorted(SANDBOX.rglob("*.py")), ids=lambda path: path.stem)
def test_the_sandbox_imports_nothing_of_ours(path):
    names = [name for name in imported(path) if name.partition(".")[0] in LAYERS]

    assert [name for name in names if not name.startswith("blueprints.sandbox")] == []


@pytest.mark.parametrize(("layer", "path"), ALL, ids=lambda each: getattr(each, "stem", each))
def test_nobody_imports_the_sandbox(layer, path):
    assert [name for name in imported(path) if "sandbox" in name.split(".")] == []


@pytest.mark.parametrize(("layer", "path"), ALL, ids=lambda each: getattr(each, "stem", each))
def test_only_one_module_knows_wechatpy(layer, path):
    knows = any(name.partition(".")[0] == "wechatpy" for name in imported(path))

    assert not knows or path.is_relative_to(ROOT / "mall" / "wechat")


@pytest.mark.parametrize("path", files_of("models"), ids=lambda path: path.stem)
def test_models_know_neither_requests_nor_redis(path):
    strangers = {"flask", "redis", "marshmallow", "celery", "requests"}
    if path.name == "env.py":
        strangers -= {"flask"}  # Alembic runs inside the application

    assert {name.partition(".")[0] for name in imported(path)} & strangers == set()


def test_the_reader_of_imports_sees_every_way_to_write_one(tmp_path):
    file = tmp_path / "some.py"
    file.write_text(
        "import mall.clock as c\nfrom mall import events\ndef f():\n  from mall.x import y\n"
    )

    assert mall_modules_of(file) == {"clock", "events", "x"}
