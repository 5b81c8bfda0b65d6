"""Real households, imported as a shop's own files are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from mall import imports, ledger
from models import Account, LedgerEntry, Purchase, db

HOUSEHOLDS = "40"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "tests.real.households", "--households", HOUSEHOLDS]
    subprocess.run([*command, "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return out


def take(folder: Path, what: str) -> imports.Report:
    choices = {"open_stores": True} if what == "purchases" else {}
    with (folder / f"{what}.csv").open(encoding="utf-8", newline="") as file:
        return getattr(imports, f"import_{what}")(file, dry_run=False, **choices)


@pytest.mark.covers("A12", "A6")
def test_every_real_receipt_is_taken_and_earns_what_the_file_adds_up_to(app, files: Path):
    summary = json.loads((files / "summary.json").read_text())

    people, receipts = take(files, "members"), take(files, "purchases")

    assert (people.created, people.refused_count) == (summary["households"], 0)
    assert (receipts.created, receipts.refused_count) == (summary["receipts"], 0)
    assert db.session.scalar(sa.select(sa.func.sum(Purchase.amount_fen))) == summary["sum_fen"]
    earned = db.session.scalar(sa.select(sa.func.sum(LedgerEntry.delta_points)))
    assert earned == summary["sum_whole_yuan"]
    assert db.session.scalar(sa.select(sa.func.sum(Account.growth_value))) == earned
    assert ledger.verify()["mismatches"] == []


@pytest.mark.covers("A12")
def test_importing_the_same_files_again_changes_nothing(app, files: Path):
    take(files, "members"), take(files, "purchases")
    before = db.session.scalar(sa.select(sa.func.count()).select_from(LedgerEntry))

    people, receipts = take(files, "members"), take(files, "purchases")

    assert (people.created, people.updated, receipts.created) == (0, 0, 0)
    assert receipts.known > 1000
    assert db.session.scalar(sa.select(sa.func.count()).select_from(LedgerEntry)) == before
