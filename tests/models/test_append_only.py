"""What is only added to: the database itself refuses every change of an entry."""

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from mall import (
    audit,
    benefits,
    clock,
    payments,
    purchases,
    redemptions,
    refunds,
    rewards,
    tiers,
    transfers,
)
from mall.purchases import Receipt
from mall.tiers import Quota
from models import Consent, Member, db
from tests.makers import a_key
from tests.mall.books import ask, balance, book_of, by_hand, clerk, said, spend, wrong

PAYS = {"active": True, "rate_points": 100, "rate_fen": 100, "min_bill_fen": 0}
PAYS |= {"max_percent": 30, "step_points": 100, "most_points": None, "note": ""}
TABLES = (
    "ledger_entries",
    "lot_uses",
    "growth_entries",
    "stock_moves",
    "store_moves",
    "audit_entries",
    "debt_entries",
    "refunds",
    "transfers",
    "tier_changes",
    "benefit_entries",
    "payment_returns",
    "consents",
)


@pytest.fixture
def written(a_member, a_reward, stores, hired, tune):
    """A row or more in each of them."""
    member, now = a_member(points=200), clock.now()
    receipt = Receipt(stores["A"], "r-1", member, 20_000, now)
    bought = said(purchases.record_one(receipt, key=a_key(), now=now))["id"]
    redemptions.redeem(ask(member, a_reward(price_points=10).id), now=now)
    cup = a_reward(units=0, stock_by_store=True).id
    came = {"quantity": 3, "reason": "purchase", "note": "", "unit_cost_fen": None}
    at_a = {"store_id": stores["A"], "staff_id": hired["admin"], "key": a_key(route="stock")}
    rewards.move_stock(cup, came, **at_a, now=now)
    tune("transfer_points_per_day", 1000)
    friend = db.session.get_one(Member, a_member()).card_no
    transfers.transfer(member, friend, 100, key=a_key(route="transfer"), now=now)
    who = clerk(hired["clerk-a"])
    quota = Quota("trial", "试用", 1, "month")
    with book_of(member):
        benefits.grant_many([benefits.Grant(member, quota, "test:1")], now=now)
    payments.publish(PAYS, staff_id=None, key=a_key(route="rules"), now=now)
    bill = payments.Bill(stores["A"], who.id, member, "r-1", 10_000)
    payments.pay(bill, 100, key=a_key(route="pay"), now=now)
    audit.note(audit.Act("staff:1", "store.open", "store", "1", after={"code": "A"}), now=now)
    said_yes = {"member_id": member, "kind": "terms", "version": 1, "granted": True}
    by_hand(sa.insert(Consent).values(**said_yes, said_at=now))
    spend(member, balance(member), "all that is left")
    refunds.refund(bought, 20_000, clerk=who, key=a_key(route="refund"), now=now)
    tiers.grants.grant(
        *(member, "gold"), until=None, reason="补偿", staff_id=who.id, key=a_key(), now=now
    )


def content(table):
    db.session.rollback()
    return db.session.execute(sa.text(f"SELECT * FROM {table}")).all()


@pytest.mark.covers("C7")
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_an_entry_can_be_neither_changed_nor_taken_away(written, table, how):
    before = content(table)
    column = db.metadata.tables[table].columns.keys()[-1]

    with pytest.raises(DatabaseError, match=f"{table} is append-only"):
        by_hand(sa.text(how.format(table, column)))

    assert before and content(table) == before
    assert wrong() == []


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_entries_can_not_be_emptied_at_once(written, table):
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")

    with pytest.raises(DatabaseError, match="append-only"):
        by_hand(sa.text(f"TRUNCATE {table} CASCADE"))

    assert content(table)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", ["INSERT OR REPLACE INTO", "INSERT INTO"])
def test_an_entry_can_not_be_replaced_by_another(written, table, how):
    columns = db.metadata.tables[table].columns.keys()
    key = ", ".join(each.name for each in db.metadata.tables[table].primary_key)
    names = ", ".join(columns)
    same = f"{how} {table} ({names}) SELECT {names} FROM {table} WHERE true"
    upsert = f" ON CONFLICT ({key}) DO UPDATE SET {columns[-1]} = excluded.{columns[-1]}"

    before = content(table)
    with pytest.raises(DatabaseError):
        by_hand(sa.text(same + ("" if "REPLACE" in how else upsert)))

    assert content(table) == before and wrong() == []


@pytest.mark.covers("C7")
@pytest.mark.parametrize("table", TABLES)
def test_nobody_else_can_replace_an_entry_in_the_file_either(written, table):
    """REPLACE asks no trigger that forbids to delete, unless a connection wishes it so."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no REPLACE")
    before = content(table)
    db.session.rollback()

    with closing(sqlite3.connect(db.engine.url.database)) as plain:
        for again in (f"INSERT OR REPLACE INTO {table}", f"REPLACE INTO {table}"):
            with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
                plain.execute(f"{again} SELECT * FROM {table}")
            plain.rollback()

    assert content(table) == before


@pytest.mark.parametrize("changed", ["seq", "ref_id"])
def test_an_entry_with_the_place_or_the_cause_of_another_does_not_replace_it(written, changed):
    if db.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has no REPLACE")
    names = [
        each.name for each in db.metadata.tables["ledger_entries"].columns if each.name != "id"
    ]
    others = ", ".join(f"{name} || '9'" if name == changed else name for name in names)
    copied = f"INSERT OR REPLACE INTO ledger_entries ({', '.join(names)}) SELECT {others}"

    with closing(sqlite3.connect(db.engine.url.database)) as plain:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            plain.execute(f"{copied} FROM ledger_entries")
