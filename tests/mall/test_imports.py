"""Imports: every row is taken, known or refused with its line and reason, and a second run doubles nothing."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from mall import clock, imports
from mall.errors import Malformed
from models import Account, Event, LedgerEntry, Member, Purchase, Store
from tests.mall.books import balance, by_hand, count, numbers, one, rows, wrong

MEMBERS = "external_id,nickname,phone,gender,birthday,city,joined_at\n"
PURCHASES = "external_id,card_no,store_code,receipt_no,amount_fen,paid_at\n"


def take(what, text, *, dry_run=False, **choices):
    """Import a file, receipts into stores that it may open; answers its report."""
    raw = text if isinstance(text, bytes) else text.encode()
    if what == "purchases":
        choices = {"open_stores": True, **choices}
    load = getattr(imports, f"import_{what}")
    return load(imports.opened(raw), dry_run=dry_run, **choices).view(dry_run=dry_run)


def counts(report):
    return tuple(report[name] for name in ("created", "updated", "known", "refused_count"))


def refusals(report):
    return [(row["line"], row["reason"]) for row in report["refused"]]


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def smalls(app):
    """Chunks of two rows, so that a few lines make several."""
    kept, imports.CHUNK_ROWS = imports.CHUNK_ROWS, 2
    yield
    imports.CHUNK_ROWS = kept


# members


@pytest.mark.covers("A12")
def test_new_members_are_made_with_what_the_file_says(app, now):
    report = take(
        "members",
        MEMBERS
        + "e-1,小满,13812345678,female,1990-02-28,上海,2020-05-01T08:00:00+08:00\n"
        + "e-2,,,,,,\n",
    )

    assert counts(report) == (2, 0, 0, 0) and report["refused"] == []
    fields = ("nickname", "phone_tail", "gender", "city", "channel_code")
    columns = [getattr(Member, name) for name in fields]
    assert rows(*columns, order=Member.id) == [
        ("小满", "5678", "female", "上海", "import"),
        ("", None, "unknown", "", "import"),
    ]
    assert numbers() == ["13812345678", None]
    assert one(Member.birthday, Member.external_id == "e-1").isoformat() == "1990-02-28"
    joined = one(Member.joined_at, Member.external_id == "e-1")
    assert joined == datetime.fromisoformat("2020-05-01T08:00:00+08:00")
    assert now <= one(Member.joined_at, Member.external_id == "e-2") <= clock.now()
    assert rows(Account.tier_code, Account.state) == [("base", "open")] * 2
    assert count(Event, Event.kind == "joined") == 2


@pytest.mark.covers("A12")
def test_the_same_file_again_changes_nothing(app):
    file = MEMBERS + "e-1,小满,13812345678,female,,上海,\ne-2,阿立,,,,,\n"
    take("members", file)
    before = rows(Member.id, Member.card_no, Member.nickname)

    assert counts(take("members", file)) == (0, 0, 2, 0)

    assert rows(Member.id, Member.card_no, Member.nickname) == before


def test_a_known_member_gets_what_the_file_says_and_keeps_what_it_does_not_say(app):
    take("members", MEMBERS + "e-1,小满,13812345678,female,,上海,\n")

    report = take("members", "external_id,nickname,city\ne-1,大满,\n")

    assert counts(report) == (0, 1, 0, 0)
    columns = (Member.nickname, Member.gender, Member.city)
    assert rows(*columns) == [("大满", "female", "上海")] and numbers() == ["13812345678"]


def test_a_file_of_names_only_knows_its_members_again(app):
    take("members", "external_id\ne-1\n")

    assert counts(take("members", "external_id\ne-1\n")) == (0, 0, 1, 0)


def test_a_nickname_may_be_any_word(app):
    take("members", "external_id,nickname\ne-1,a\n")
    take("members", "external_id,nickname\ne-1,unknown\n")

    assert one(Member.nickname) == "unknown"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",小满,,,,,", "external_id 不能为空"),
        ("x" * 65 + ",,,,,,", "external_id 最多 64 个字符"),
        ("e-1," + "名" * 65 + ",,,,,", "nickname 最多 64 个字符"),
        ("e-1,,+86138,,,,", "手机号应为 5 至 15 位数字"),
        ("e-1,,1234,,,,", "手机号应为 5 至 15 位数字"),
        ("e-1,,1234567890123456,,,,", "手机号应为 5 至 15 位数字"),
        ("e-1,,１３８１２３４５６７８,,,,", "手机号应为 5 至 15 位数字"),
        ("e-1,,,女,,,", "gender 应为 male、female 或 unknown"),
        ("e-1,,,,1990-02-30,,", "日期应为 YYYY-MM-DD"),
        ("e-1,,,,,,yesterday", "joined_at 应为 RFC 3339 时间"),
        ("e-1,,,,,,0001-01-01T00:00:00+08:00", "joined_at 应在 1900 至 2199 年间"),
        ("e-1,,,,,,9999-12-31T23:59:59-08:00", "joined_at 应在 1900 至 2199 年间"),
        ("e-1,,,,,", "列数与表头不符"),
        ("e-1,,,,,,,", "列数与表头不符"),
    ],
)
def test_a_members_row_that_can_not_be_taken_says_why_and_the_others_go_on(app, row, reason):
    report = take("members", MEMBERS + f"e-7,,,,,,\n{row}\ne-8,,,,,,\n")

    assert counts(report) == (2, 0, 0, 1)
    assert refusals(report) == [(3, reason)]
    assert rows(Member.external_id, order=Member.id) == [("e-7",), ("e-8",)]


def test_a_line_is_counted_as_an_editor_counts_it(app):
    report = take("members", 'external_id,nickname\ne-1,"two\nlines"\n,nobody\n')

    assert refusals(report) == [(4, "external_id 不能为空")]


def test_somebody_elses_phone_is_refused_whoever_has_it(app, a_member):
    """PEERS 32: registering twice with one phone."""
    a_member(phone="13811111111")
    take("members", MEMBERS + "e-1,,13822222222,,,,\n")

    report = take(
        "members",
        MEMBERS + "e-2,,13811111111,,,,\ne-3,,13822222222,,,,\ne-1,,13822222222,,,,\n",
    )

    assert counts(report) == (0, 0, 1, 2)
    assert refusals(report) == [(2, "手机号已属于其他会员"), (3, "手机号已属于其他会员")]


@pytest.mark.parametrize("dry_run", [True, False])
def test_of_two_rows_with_one_phone_the_first_has_it(smalls, dry_run):
    file = MEMBERS + "e-1,,13811111111,,,,\n" + "e-2,,,,,,\n" + "e-3,,13811111111,,,,\n"

    report = take("members", file, dry_run=dry_run)

    assert counts(report) == (2, 0, 0, 1) and refusals(report) == [(4, "手机号已属于其他会员")]


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("between", [0, 3])
def test_a_member_twice_in_one_file_is_refused_the_second_time(smalls, dry_run, between):
    others = "".join(f"o-{n},,,,,,\n" for n in range(between))
    file = MEMBERS + "e-1,first,,,,,\n" + others + "e-1,second,,,,,\n"

    report = take("members", file, dry_run=dry_run)

    assert counts(report) == (1 + between, 0, 0, 1)
    assert refusals(report) == [(3 + between, "external_id 在文件中重复")]
    if not dry_run:
        assert one(Member.nickname, Member.external_id == "e-1") == "first"


@pytest.mark.covers("A12")
def test_a_dry_run_says_the_same_and_changes_nothing(app, smalls):
    take("members", MEMBERS + "e-1,小满,13811111111,,,,\ne-2,阿立,,,,,\n")
    file = (
        MEMBERS
        + "e-1,大满,13811111111,,,,\ne-2,阿立,,,,,\ne-3,,13811111111,,,,\n"
        + "e-4,,13822222222,,,,\ne-5,,13822222222,,,,\ne-4,,,,,,\n,,,,,,\n"
    )
    before = rows(Member.id, Member.nickname, Member.phone_sealed)

    tried = take("members", file, dry_run=True)

    assert rows(Member.id, Member.nickname, Member.phone_sealed) == before
    assert counts(tried) == (1, 1, 1, 4) and tried["dry_run"] is True
    assert take("members", file) == {**tried, "dry_run": False}


# purchases


@pytest.fixture
def people(app):
    """Members e-1 and e-2."""
    take("members", "external_id\ne-1\ne-2\n")
    return {name: id_ for name, id_ in rows(Member.external_id, Member.id)}


def bought(receipt_no, amount_fen=10_000, who="e-1", store="A", at="2026-01-01T12:00:00+08:00"):
    return f"{who},,{store},{receipt_no},{amount_fen},{at}\n"


@pytest.mark.covers("A12")
def test_receipts_earn_as_at_the_till_and_a_new_stores_code_opens_it(people):
    card_no = one(Member.card_no, Member.external_id == "e-2")
    file = PURCHASES + bought("r-1") + f",{card_no},B,r-1,19990,2026-01-02 09:30\n"

    report = take("purchases", file)

    assert counts(report) == (2, 0, 0, 0)
    assert (balance(people["e-1"]), balance(people["e-2"])) == (100, 199)
    assert rows(Store.code, Store.name, order=Store.id) == [("A", "A"), ("B", "B")]
    columns = (Purchase.channel, Purchase.staff_id, Purchase.paid_at)
    assert rows(*columns, where=[Purchase.amount_fen == 19_990]) == [
        ("import", None, datetime.fromisoformat("2026-01-02T09:30:00+08:00"))
    ]
    assert set(rows(LedgerEntry.actor)) == {("system",)}
    assert wrong() == []


@pytest.mark.covers("A12")
def test_a_store_nobody_opened_is_a_slip_of_the_pen_unless_told_otherwise(people):
    take("purchases", PURCHASES + bought("r-1"))

    report = take(
        "purchases", PURCHASES + bought("r-2") + bought("r-3", store="AA"), open_stores=False
    )

    assert counts(report) == (1, 0, 0, 1)
    assert refusals(report) == [(3, "没有代码为 AA 的门店")]
    assert rows(Store.code) == [("A",)]


@pytest.mark.covers("A12")
def test_the_same_receipts_again_earn_nothing(people):
    file = PURCHASES + bought("r-1") + bought("r-2")
    take("purchases", file)

    assert counts(take("purchases", file + bought("r-3"))) == (1, 0, 2, 0)

    assert balance(people["e-1"]) == 300 and count(Purchase) == 3 and wrong() == []


CONTRADICTED = "小票已录入，会员或金额不同"


@pytest.mark.covers("A12")
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("between", [0, 3])
@pytest.mark.parametrize("differs", [{"who": "e-2"}, {"amount_fen": 10_001}], ids=str)
def test_a_receipt_told_otherwise_is_a_contradiction_and_no_repeat(
    people, smalls, dry_run, between, differs
):
    """Both against the books and inside one file, in one chunk or another."""
    others = "".join(bought(f"o-{n}") for n in range(between))
    file = bought("r-1", **differs) + others + bought("r-1") + bought("r-2") + others
    take("purchases", PURCHASES + bought("r-1"))

    report = take("purchases", PURCHASES + file + bought("r-2", **differs), dry_run=dry_run)

    assert counts(report) == (1 + between, 0, 1 + between, 2)
    assert refusals(report) == [(2, CONTRADICTED), (5 + 2 * between, CONTRADICTED)]
    assert balance(people["e-1"]) == 100 + (0 if dry_run else 100 * (1 + between))
    assert balance(people["e-2"]) == 0 and wrong() == []


@pytest.mark.parametrize(("who", "fate"), [("e-1", (1, 0, 1, 0)), ("e-2", (1, 0, 0, 1))])
def test_a_till_that_is_quicker_than_the_file_is_heard(people, monkeypatch, who, fate):
    """The receipt comes into the books after the file has looked for it there."""
    file = PURCHASES + bought("r-1", who=who) + bought("r-2")
    look = imports.purchases.shown_before

    def then_the_till(named):
        monkeypatch.setattr(imports.purchases, "shown_before", look)
        found = look(named)
        take("purchases", PURCHASES + bought("r-1"))
        return found

    monkeypatch.setattr(imports.purchases, "shown_before", then_the_till)
    report = take("purchases", file)

    assert counts(report) == fate and count(Purchase) == 2 and wrong() == []


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("between", [0, 3])
def test_a_receipt_twice_in_one_file_is_known_the_second_time(people, smalls, dry_run, between):
    others = "".join(bought(f"o-{n}") for n in range(between))
    file = PURCHASES + bought("r-1") + others + bought("r-1") + bought("r-1", store="B")

    report = take("purchases", file, dry_run=dry_run)

    assert counts(report) == (2 + between, 0, 1, 0)
    assert balance(people["e-1"]) == (0 if dry_run else 200 + 100 * between)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",,A,r-1,100,2026-01-01", "external_id 与 card_no 至少填一项"),
        ("e-9,,A,r-1,100,2026-01-01", "没有这个会员"),
        (",880000000000,A,r-1,100,2026-01-01", "没有这个会员"),
        ("e-1,,,r-1,100,2026-01-01", "store_code 不能为空"),
        ("e-1,,A,,100,2026-01-01", "receipt_no 不能为空"),
        ("e-1,,A,r-1,,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        ("e-1,,A,r-1,0,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        ("e-1,,A,r-1,-5,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        ("e-1,,A,r-1,9.99,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        ("e-1,,A,r-1,1e3,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        ("e-1,,A,r-1,1000000001,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        (
            "e-1,,A,r-1," + "9" * 5000 + ",2026-01-01",
            "amount_fen 应为 1 至 1000000000 的整数（分）",
        ),
        ("e-1,,A,r-1,١٠٠,2026-01-01", "amount_fen 应为 1 至 1000000000 的整数（分）"),
        ("e-1,,A,r-1,100,", "paid_at 应为 RFC 3339 时间"),
        ("e-1,,A,r-1,100,2099-01-01", "paid_at 在将来"),
        ("e-1,,A,r-1,100,0001-01-01", "paid_at 应在 1900 至 2199 年间"),
    ],
)
def test_a_receipt_that_can_not_be_taken_says_why_and_the_others_go_on(people, row, reason):
    report = take("purchases", PURCHASES + bought("r-7") + f"{row}\n" + bought("r-8"))

    assert counts(report) == (2, 0, 0, 1)
    assert refusals(report) == [(3, reason)]


@pytest.mark.parametrize("amount_fen", [1, 10**9])
def test_the_least_and_the_largest_bill_are_taken(people, amount_fen):
    assert counts(take("purchases", PURCHASES + bought("r-1", amount_fen)))[0] == 1


def test_a_receipt_of_a_closed_member_is_refused_and_the_others_go_on(people):
    by_hand(sa.update(Account).where(Account.member_id == people["e-1"]).values(state="closed"))

    report = take("purchases", PURCHASES + bought("r-1") + bought("r-2", who="e-2"))

    assert counts(report) == (1, 0, 0, 1) and refusals(report) == [(2, "没有这个会员")]


def test_a_receipt_of_this_moment_is_not_in_the_future(people, now):
    soon = (now + timedelta(minutes=5)).isoformat()

    report = take(
        "purchases", PURCHASES + bought("r-1", at=now.isoformat()) + bought("r-2", at=soon)
    )

    assert counts(report) == (1, 0, 0, 1) and refusals(report) == [(3, "paid_at 在将来")]


@pytest.mark.covers("A12")
def test_a_dry_run_of_receipts_says_the_same_and_changes_nothing(people, smalls):
    take("purchases", PURCHASES + bought("r-1"))
    file = (
        PURCHASES
        + bought("r-1")
        + bought("r-2")
        + bought("r-3", store="C")
        + bought("r-2")
        + bought("r-2", who="e-2")
        + bought("r-4", who="e-9")
        + bought("r-5", who="e-2")
    )

    tried = take("purchases", file, dry_run=True)

    assert (count(Purchase), count(Store), balance(people["e-2"])) == (1, 1, 0)
    assert counts(tried) == (3, 0, 2, 2)
    assert take("purchases", file) == {**tried, "dry_run": False}
    assert wrong() == []


# files


@pytest.mark.parametrize("what", ["members", "purchases"])
def test_a_file_without_its_columns_says_which(app, what):
    with pytest.raises(Malformed) as refusal:
        take(what, "nickname\nx\n")

    missing = {
        "members": ["external_id"],
        "purchases": ["amount_fen", "paid_at", "receipt_no", "store_code"],
    }
    assert refusal.value.details == {"missing_columns": missing[what]}


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_lacks_its_columns(app, text):
    with pytest.raises(Malformed) as refusal:
        take("members", text)

    assert refusal.value.details == {"missing_columns": ["external_id"]}


def test_columns_that_mean_nothing_here_are_named(app):
    with pytest.raises(Malformed) as refusal:
        take("members", "external_id,points,balance\ne-1,5,5\n")

    assert refusal.value.details == {"unknown_columns": ["balance", "points"]}


def test_a_header_alone_is_a_file_without_rows(app):
    assert counts(take("members", MEMBERS)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf" + (MEMBERS + "e-1,,,,,,\n").encode(),
        (MEMBERS + "e-1,,,,,,\n").replace("\n", "\r\n").encode(),
        (MEMBERS + "e-1,,,,,,").encode(),
        b" external_id , nickname \n e-1 , x \n",
        b"external_id\n\n\ne-1\n\n",
    ],
    ids=["byte order mark", "CRLF", "no last newline", "blanks", "empty lines"],
)
def test_a_file_as_spreadsheets_write_it_is_read(app, raw):
    assert counts(take("members", raw)) == (1, 0, 0, 0)
    assert one(Member.external_id) == "e-1"


@pytest.mark.parametrize(
    "raw", [b'external_id\n"e-1\n', b'external_id\n"e"1\n', b"external_id\n\xff\xfe\n"]
)
def test_a_broken_file_says_where_it_breaks(app, raw):
    with pytest.raises(Malformed) as refusal:
        take("members", raw)

    assert set(refusal.value.details) == {"line"}


def test_text_no_database_can_keep_is_refused(app):
    report = take("members", "external_id,nickname\ne-1,a\0b\ne-2,ok\n")

    assert counts(report) == (1, 0, 0, 1)
    assert refusals(report)[0][0] == 2


def test_of_many_refusals_all_are_counted_and_the_first_thousand_shown(app):
    report = take("members", "external_id\n" + ",\n" * 1002 + "e-1\n")

    assert counts(report) == (1, 0, 0, 1002) and len(report["refused"]) == 1000


def test_refusals_are_told_in_the_order_of_their_lines(app, a_member):
    a_member(phone="13811111111")

    report = take("members", MEMBERS + "e-1,,13811111111,,,,\n,,,,,,\n")

    assert [line for line, _ in refusals(report)] == [2, 3]


def test_progress_is_told_by_the_rows_that_were_read(app, smalls):
    seen = []
    file = imports.opened(b"external_id\n" + b"".join(b"e-%d\n" % n for n in range(5)))

    imports.import_members(file, dry_run=False, progress=seen.append)

    assert seen == [2, 2, 1]


def test_a_large_file_is_taken_whole(app):
    report = take("members", "external_id\n" + "".join(f"e-{n}\n" for n in range(1201)))

    assert counts(report) == (1201, 0, 0, 0)
    assert count(Account) == count(Member) == 1201
