"""Commands for those who keep the machine: open the shop, import files, hire, prove the ledger."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup
from flask_migrate import upgrade
from sqlalchemy.exc import OperationalError

from mall import addresses, audit, clock, demo, imports, ledger, phones, shop, staff, stores
from mall.imports import Report
from models import db

shop_group = AppGroup("shop", help="The shop as a whole.")
imports_group = AppGroup("imports", help="CSV files of any size.")
staff_group = AppGroup("staff", help="Those who work here.")
ledger_group = AppGroup("ledger", help="The points ledger.")
audit_group = AppGroup("audit", help="Who changed what.")
GROUPS = (shop_group, imports_group, staff_group, ledger_group, audit_group)


@shop_group.command("migrate")
def migrate() -> None:
    """Bring the database to this version; a sentence where it can't be reached."""
    try:
        upgrade()
    except OperationalError as error:
        address = db.engine.url.render_as_string(hide_password=True)
        raise click.ClickException(f"DATABASE_URL {address} can't be used: {error.orig}") from None


@shop_group.command("open")
def open_shop() -> None:
    """Give a new shop what it can't be without; with the sandbox, the demonstration too."""
    shop.open_shop(now=clock.now())
    if not current_app.config["SANDBOX"] and shop.setting("demo"):
        raise click.ClickException(
            "This database holds the demo shop, whose passwords everybody knows:"
            " WECHAT_APPID needs another DATABASE_URL or DATA_DIR."
        )
    if current_app.config["SANDBOX"] and demo.fill(now=clock.now()):
        click.echo("演示店铺已就绪 The demo shop is filled.")


@shop_group.command("prepare")
@click.pass_context
def prepare(context: click.Context) -> None:
    """Migrate, then open: what a start needs, in one process."""
    context.invoke(migrate)
    phones.seal_all()
    addresses.seal_all()
    context.invoke(open_shop)


@shop_group.command("reseal")
def reseal() -> None:
    """Seal with the ring's first key, find by its oldest: run it before an old key is dropped."""
    done = phones.seal_all(everything=True) + addresses.seal_all(everything=True)
    click.echo(done + staff.reseal_second_factors())


def _import(take: Callable[..., Report], path: str, dry_run: bool, **choices: bool) -> None:
    """Run an import; the bar goes to stderr, the summary on stdout is for programs."""
    with (
        Path(path).open(encoding="utf-8-sig", newline="") as file,
        click.progressbar(length=_rows_in(path), label=Path(path).name, file=sys.stderr) as bar,
    ):
        report = take(file, dry_run=dry_run, progress=bar.update, **choices)
    click.echo(json.dumps(report.view(dry_run=dry_run), ensure_ascii=False))


def _rows_in(path: str) -> int:
    with Path(path).open("rb") as file:
        return max(sum(1 for _ in file) - 1, 0)


_path = click.argument("path", type=click.Path(exists=True, dir_okay=False))
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")


@imports_group.command("members")
@_path
@_dry_run
def import_members(path: str, dry_run: bool) -> None:
    """Import members from a CSV file."""
    _import(imports.import_members, path, dry_run)


@imports_group.command("purchases")
@_path
@_dry_run
@click.option("--open-stores", is_flag=True, help="A store code not known yet opens a store.")
def import_purchases(path: str, dry_run: bool, open_stores: bool) -> None:
    """Import receipts from a CSV file."""
    _import(imports.import_purchases, path, dry_run, open_stores=open_stores)


@staff_group.command("hire")
@click.argument("username")
@click.option("--name", required=True)
@click.option("--role", type=click.Choice(staff.ROLES), required=True)
@click.option("--store", "store_code", help="The store's code, for a clerk or manager.")
@click.password_option()
def hire(username: str, name: str, role: str, store_code: str | None, password: str) -> None:
    """Add somebody to the staff."""
    now = clock.now()
    at = stores.ids_by_code([store_code], now=now).get(store_code) if store_code else None
    if role in staff.TILL_ROLES and at is None:
        raise click.UsageError("A clerk or manager needs --store with the code of a store.")
    staff.hire(username=username, name=name, password=password, role=role, store_id=at, now=now)


@ledger_group.command("verify")
def verify() -> None:
    """Prove the ledger; exits with 1 where something does not add up."""
    proof: dict[str, Any] = ledger.prove(now=clock.now())
    click.echo(json.dumps(proof, ensure_ascii=False, indent=2))
    raise SystemExit(1 if proof["mismatches"] else 0)


@audit_group.command("verify")
@click.option("--end", help="SEQ:TAG of an earlier look, which must still be in the chain.")
def verify_audit(end: str | None) -> None:
    """Compute the audit log's chain anew; exits with 1 where it is broken or was cut off."""
    chain = audit.verify()
    click.echo(json.dumps(vars(chain)))
    kept = end is None or audit.holds(*_end(end))
    if not kept:
        click.echo("The chain does not hold that end any more.", err=True)
    raise SystemExit(0 if chain.broken_at is None and kept else 1)


def _end(text: str) -> tuple[int, str]:
    seq, _, tag = text.partition(":")
    if not (seq.isascii() and seq.isdecimal() and tag):
        raise click.UsageError("--end is SEQ:TAG, as an earlier look printed them.")
    return int(seq), tag
