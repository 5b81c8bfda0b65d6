"""Imports: members and purchases from CSV, in chunks, repeatable without doubles.

A row that can't be taken is refused with its line and the reason, and the others go on. A dry run
does all of it and then rolls each chunk back, so it says exactly what the real run would.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from itertools import islice
from typing import Any, TextIO

import sqlalchemy as sa

from mall import clock, closed, members, phones, purchases, stores, tiers
from mall.atomic import atomic
from mall.errors import Malformed
from mall.purchases import Receipt
from models import Account, Member, Merge
from models.base import table_of

CHUNK_ROWS = 500
REFUSED_SHOWN = 1000
MAX_AMOUNT_FEN = 10**9
AMOUNT_DIGITS = 10
EARLIEST_YEAR, LATEST_YEAR = 1900, 2199  # a zone can't push these off the calendar
PHONE = re.compile(r"\+?[0-9][0-9 -]{6,}")  # as people write one
MEMBER_COLUMNS = ("external_id", "nickname", "phone", "gender", "birthday", "city", "joined_at")
PURCHASE_COLUMNS = ("external_id", "card_no", "store_code", "receipt_no", "amount_fen", "paid_at")


@dataclass
class Report:
    """What became of a file's rows."""

    created: int = 0
    updated: int = 0
    known: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    refused_count: int = 0
    # met in this file:
    receipts: dict[tuple[str, str], "Bought"] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    phones: dict[str, str] = field(default_factory=dict)  # to who has them

    def refuse(self, line: int, reason: str) -> None:
        self.refused_count += 1
        if len(self.refused) < REFUSED_SHOWN:
            self.refused.append({"line": line, "reason": reason})

    def view(self, *, dry_run: bool) -> dict[str, Any]:
        return {
            "dry_run": dry_run,
            "created": self.created,
            "updated": self.updated,
            "known": self.known,
            "refused_count": self.refused_count,
            "refused": sorted(self.refused, key=lambda row: row["line"]),
        }


class _Wrong(Exception):
    """Why a row can't be taken."""


class _DryRun(Exception):
    """Rolls a chunk back after it has been tried."""


Row = tuple[int, dict[str, str]]
Bought = tuple[int, int]  # member and amount: what a receipt that is shown again must say again
Load = Callable[[list[Row], Report, datetime], None]


def import_members(
    file: TextIO, *, dry_run: bool, progress: Callable[[int], None] = lambda rows: None
) -> Report:
    """Take members from CSV: `external_id` names them; known ones get the file's profile."""
    return _import(file, {"external_id"}, MEMBER_COLUMNS, _load_members, dry_run, progress)


def import_purchases(
    file: TextIO,
    *,
    dry_run: bool,
    open_stores: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> Report:
    """Take receipts from CSV: a store's receipt number counts once; points follow from the rules.

    With `open_stores` a code that no store has opens one; else its rows are refused.
    """
    needed = {"store_code", "receipt_no", "amount_fen", "paid_at"}
    load = partial(_load_purchases, open_stores=open_stores)
    return _import(file, needed, PURCHASE_COLUMNS, load, dry_run, progress)


def _import(
    file: TextIO,
    needed: set[str],
    known: Iterable[str],
    load: Load,
    dry_run: bool,
    progress: Callable[[int], None],
) -> Report:
    for _ in _rows(file, needed, set(known), Report()):
        pass  # a file that can't be read to its end is refused before anything is taken
    file.seek(0)
    report = Report()
    for chunk in _chunks(_rows(file, needed, set(known), report)):
        _try(chunk, load, report, dry_run)
        progress(len(chunk))
    return report


def _try(chunk: list[Row], load: Load, report: Report, dry_run: bool) -> None:
    try:
        with atomic():
            load(chunk, report, clock.now())
            if dry_run:
                raise _DryRun()
    except _DryRun:
        return


def _rows(file: TextIO, needed: set[str], known: set[str], report: Report) -> Iterator[Row]:
    """Numbered rows of a CSV file with a header; raises Malformed for one that can't be read."""
    reader = csv.DictReader(file, strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        header = set(names)
        if len(header) != len(names):
            raise Malformed(columns_given_twice=sorted(n for n in header if names.count(n) > 1))
        if missing := needed - header:
            raise Malformed(missing_columns=sorted(missing))
        if strange := header - known:
            raise Malformed(unknown_columns=sorted(strange))
        for row in reader:
            if None in row or None in row.values():
                report.refuse(reader.line_num, "列数与表头不符")
                continue
            if any("\0" in value for value in row.values()):
                report.refuse(reader.line_num, "含有不能保存的字符")
                continue
            yield reader.line_num, {name.strip(): value.strip() for name, value in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise Malformed(line=reader.line_num) from error


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, CHUNK_ROWS)):
        yield chunk


def _read_rows(
    chunk: list[Row], read: Callable[[dict[str, str]], Any], report: Report
) -> Iterator[tuple[int, Any]]:
    for line, row in chunk:
        try:
            yield line, read(row)
        except _Wrong as wrong:
            report.refuse(line, str(wrong))


def _load_members(chunk: list[Row], report: Report, now: datetime) -> None:
    people: dict[str, tuple[int, dict[str, Any]]] = {}
    for line, person in _read_rows(chunk, lambda row: _person(row, now), report):
        if person["external_id"] in report.people:
            report.refuse(line, "external_id 在文件中重复")
        else:
            report.people.add(person["external_id"])
            people[person["external_id"]] = line, person
    for external_id in closed.among(people):
        line, _ = people.pop(external_id)
        report.refuse(line, "该会员已注销")
    accepted = _with_own_phones(people, report)
    if not accepted:
        return
    joined = members.join_many(list(accepted.values()), tier_code=tiers.BASE, now=now)
    report.created += len(joined)
    _update_members([person for id_, person in accepted.items() if id_ not in joined], report)


def _with_own_phones(
    people: dict[str, tuple[int, dict[str, Any]]], report: Report
) -> dict[str, dict[str, Any]]:
    """Those whose phone is nobody else's, neither in the shop nor earlier in the file."""
    hashes = [person["phone_hash"] for _, person in people.values() if person["phone_hash"]]
    query = sa.select(Member.phone_hash, Member.external_id).where(Member.phone_hash.in_(hashes))
    with atomic() as transaction:
        taken = {row.phone_hash: row.external_id for row in transaction.execute(query)}
    accepted = {}
    for external_id, (line, person) in people.items():
        phone = person["phone_hash"]
        if phone and taken.get(phone, report.phones.get(phone, external_id)) != external_id:
            report.refuse(line, "手机号已属于其他会员")
            continue
        if phone:
            report.phones[phone] = external_id
        accepted[external_id] = person
    return accepted


def _update_members(people: list[dict[str, Any]], report: Report) -> None:
    columns = ("nickname", "phone_hash", "gender", "city")
    table, unsaid = table_of(Member), {"gender": "unknown"}
    with atomic() as transaction:
        for person in people:
            filled = {
                name: person[name]
                for name in columns
                if person[name] not in (None, "", unsaid.get(name))
            }
            changed = (
                transaction.execute(
                    sa.update(table)
                    .where(
                        table.c.external_id == person["external_id"],
                        sa.or_(*[table.c[n].is_distinct_from(v) for n, v in filled.items()]),
                    )
                    .values(**filled, **_number_of(person, filled))
                ).rowcount
                if filled
                else 0
            )
            report.updated += changed
            report.known += 1 - changed


def _number_of(person: dict[str, Any], filled: dict[str, Any]) -> dict[str, Any]:
    """The other columns of a phone number: a sealed one is another each time it is sealed."""
    if "phone_hash" not in filled:
        return {}
    return {name: person[name] for name in phones.COLUMNS if name != "phone_hash"}


def _person(row: dict[str, str], now: datetime) -> dict[str, Any]:
    written = row.get("phone") or None
    phone = phones.normal(written) if written and PHONE.fullmatch(written) else written
    if phone and not (phone.isascii() and phone.isdecimal() and 5 <= len(phone) <= 15):
        raise _Wrong("手机号应为 5 至 15 位数字")
    gender = row.get("gender") or "unknown"
    if gender not in ("unknown", "male", "female"):
        raise _Wrong("gender 应为 male、female 或 unknown")
    return {
        "external_id": _text(row, "external_id", 64),
        "nickname": _text(row, "nickname", 64, needed=False),
        **phones.columns(phone),
        "gender": gender,
        "birthday": _birthday(row["birthday"], now) if row.get("birthday") else None,
        "city": _text(row, "city", 64, needed=False),
        "channel_code": "import",
        "joined_at": _past(row, "joined_at", now) if row.get("joined_at") else now,
    }


def _load_purchases(chunk: list[Row], report: Report, now: datetime, *, open_stores: bool) -> None:
    read = list(_read_rows(chunk, lambda row: _receipt_fields(row, now), report))
    by_external, by_card = _members_named(values for _, values in read)
    shops = stores.ids_by_code([v["store_code"] for _, v in read], now=now, open_new=open_stores)
    _meet_again(read, shops, report)
    receipts: dict[tuple[str, str], tuple[int, Receipt]] = {}
    for line, values in read:
        named = {by_external.get(values["external_id"]), by_card.get(values["card_no"])} - {None}
        member_id = next(iter(named), None)
        shown = (values["store_code"], values["receipt_no"])
        if member_id is None:
            report.refuse(line, "没有这个会员")
        elif len(named) > 1:
            report.refuse(line, "external_id 与 card_no 不是同一会员")
        elif values["store_code"] not in shops:
            report.refuse(line, f"没有代码为 {values['store_code']} 的门店")
        elif shown in report.receipts:
            _repeat(line, report.receipts[shown], (member_id, values["amount_fen"]), report)
        else:
            report.receipts[shown] = member_id, values["amount_fen"]
            receipts[shown] = line, _receipt(values, shops[values["store_code"]], member_id)
    _record(receipts, report, now)


def _meet_again(
    read: list[tuple[int, dict[str, Any]]], shops: dict[str, int], report: Report
) -> None:
    """Note what the books say of a chunk's receipts; a row is no repeat that contradicts them."""
    code_of = {store_id: code for code, store_id in shops.items()}
    rows = [values for _, values in read if values["store_code"] in shops]
    named = [(shops[values["store_code"]], values["receipt_no"]) for values in rows]
    for (store_id, receipt_no), bought in purchases.shown_before(named).items():
        report.receipts[code_of[store_id], receipt_no] = bought


def _record(
    receipts: dict[tuple[str, str], tuple[int, Receipt]], report: Report, now: datetime
) -> None:
    """Put a chunk's new receipts in the books; a till may have been quicker with some."""
    recorded = purchases.record_receipts([receipt for _, receipt in receipts.values()], now=now)
    done = {each.receipt for each in recorded}
    report.created += len(recorded)
    late = {shown: each for shown, each in receipts.items() if each[1] not in done}
    if not late:
        return
    books = purchases.shown_before((each.store_id, each.receipt_no) for _, each in late.values())
    for shown, (line, receipt) in late.items():
        bought = books[receipt.store_id, receipt.receipt_no]
        report.receipts[shown] = bought
        _repeat(line, bought, (receipt.member_id, receipt.amount_fen), report)


def _repeat(line: int, known: Bought, said: Bought, report: Report) -> None:
    if known == said:
        report.known += 1
    else:
        report.refuse(line, "小票已录入，会员或金额不同")


def _receipt(values: dict[str, Any], store_id: int, member_id: int) -> Receipt:
    return Receipt(
        store_id=store_id,
        receipt_no=values["receipt_no"],
        member_id=member_id,
        amount_fen=values["amount_fen"],
        paid_at=values["paid_at"],
        channel="import",
    )


def _members_named(rows: Iterable[dict[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    """Members of a chunk by external id and by card number; closed ones are none."""
    rows = list(rows)
    external = {row["external_id"] for row in rows} - {""}
    cards = {row["card_no"] for row in rows} - {""}
    named = sa.or_(Member.external_id.in_(external), Member.card_no.in_(cards))
    query = (
        sa.select(members.held_by().label("id"), Member.external_id, Member.card_no)
        .select_from(Member)
        .outerjoin(Merge, members.merged())
        .join(Account, Account.member_id == members.held_by())
        .where(named, Account.state != "closed")
    )
    with atomic() as transaction:
        found = transaction.execute(query).all()
    return {r.external_id: r.id for r in found if r.external_id}, {r.card_no: r.id for r in found}


def _receipt_fields(row: dict[str, str], now: datetime) -> dict[str, Any]:
    if not row.get("external_id") and not row.get("card_no"):
        raise _Wrong("external_id 与 card_no 至少填一项")
    paid_at = _past(row, "paid_at", now)
    return {
        "external_id": row.get("external_id", ""),
        "card_no": row.get("card_no", ""),
        "store_code": _text(row, "store_code", 32),
        "receipt_no": _text(row, "receipt_no", 64),
        "amount_fen": _amount(row["amount_fen"]),
        "paid_at": paid_at,
    }


def _text(row: dict[str, str], name: str, longest: int, *, needed: bool = True) -> str:
    text = row.get(name, "")
    if needed and not text:
        raise _Wrong(f"{name} 不能为空")
    if len(text) > longest:
        raise _Wrong(f"{name} 最多 {longest} 个字符")
    return text


def _amount(text: str) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= AMOUNT_DIGITS
    amount_fen = int(text) if digits else 0
    if not 1 <= amount_fen <= MAX_AMOUNT_FEN:
        raise _Wrong("amount_fen 应为 1 至 1000000000 的整数（分）")
    return amount_fen


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _Wrong("日期应为 YYYY-MM-DD") from None


def _birthday(text: str, now: datetime) -> date:
    birthday = _day(text)
    if birthday > clock.business_day(now):
        raise _Wrong("birthday 在将来")
    return birthday


def _past(row: dict[str, str], name: str, now: datetime) -> datetime:
    moment = _moment(row, name)
    if moment > now:
        raise _Wrong(f"{name} 在将来")
    return moment


def _moment(row: dict[str, str], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(row[name])
    except ValueError:
        raise _Wrong(f"{name} 应为 RFC 3339 时间") from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise _Wrong(f"{name} 应在 {EARLIEST_YEAR} 至 {LATEST_YEAR} 年间")
    return moment if moment.tzinfo else moment.replace(tzinfo=clock.zone())


def opened(raw: bytes) -> TextIO:
    """A file's bytes as text: UTF-8, with or without a byte order mark."""
    return io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline="")
