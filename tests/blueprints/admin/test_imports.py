"""Members and purchases from CSV: each row taken or refused by itself, repeatable without doubles."""

import pytest

MEMBERS = """external_id,nickname,phone,gender,birthday,city,joined_at
E1,小明,13812345678,male,1990-01-01,上海,2020-01-01T00:00:00+08:00
E2,小红,,,,,
"""
PURCHASES = """external_id,store_code,receipt_no,amount_fen,paid_at
E1,A,R1,10000,2026-01-01T10:00:00+08:00
E1,A,R2,199,2026-01-02 10:00:00
E2,NEW,R1,100,2026-01-01T02:00:00Z
"""
REPORT = {"dry_run", "created", "updated", "known", "refused_count", "refused"}


@pytest.fixture
def load(as_staff, stores):
    """Import a file; answers the report."""
    admin = as_staff("admin")

    def post(what: str, text: str | bytes, query: str = ""):
        data = text.encode() if isinstance(text, str) else text
        headers = {"Content-Type": "text/csv"}
        return admin.post(f"/admin/imports/{what}{query}", data=data, headers=headers, key=None)

    post.admin = admin
    return post


def counts(answer) -> tuple[int, int, int, int]:
    return tuple(answer.json[name] for name in ("created", "updated", "known", "refused_count"))


@pytest.mark.covers("A12")
def test_members_are_taken_once_and_known_the_next_time(load):
    first, second = load("members", MEMBERS), load("members", MEMBERS)

    assert set(first.json) == REPORT
    assert (counts(first), counts(second)) == ((2, 0, 0, 0), (0, 0, 2, 0))
    rows = load.admin.get("/admin/members").json["items"]
    assert [(r["nickname"], r["phone_masked"]) for r in rows] == [
        ("小红", None),
        ("小明", "138****5678"),
    ]


@pytest.mark.covers("A12")
def test_what_changed_is_updated(load):
    load("members", MEMBERS)

    answer = load("members", MEMBERS.replace("上海", "北京"))

    assert counts(answer) == (0, 1, 1, 0)


@pytest.mark.covers("A12")
def test_a_dry_run_says_what_would_be_and_does_nothing(load):
    dry, wet = load("members", MEMBERS, "?dry_run=true"), load("members", MEMBERS)

    assert (dry.json["dry_run"], wet.json["dry_run"]) == (True, False)
    assert counts(dry) == counts(wet) == (2, 0, 0, 0)


@pytest.mark.covers("A12", "A6")
def test_purchases_earn_once_however_often_they_are_loaded(load):
    load("members", MEMBERS)

    unopened = load("purchases", PURCHASES, "?dry_run=true")
    dry = load("purchases", PURCHASES, "?dry_run=true&open_stores=true")
    first, second = (load("purchases", PURCHASES, "?open_stores=true") for _ in range(2))

    assert counts(unopened) == (2, 0, 0, 1)
    assert counts(dry) == counts(first) == (3, 0, 0, 0)
    assert counts(second) == (0, 0, 3, 0)
    points = {r["nickname"]: r["points"] for r in load.admin.get("/admin/members").json["items"]}
    assert points == {"小明": 101, "小红": 1}
    assert load.admin.get("/admin/ledger/verification").json["mismatches"] == []


@pytest.mark.covers("A12")
def test_a_row_that_can_not_be_taken_is_named_with_its_line_and_the_others_go_on(load):
    header = "external_id,phone,gender,birthday,joined_at\n"
    rows = [
        "E1,,,,",
        "E2,abc,,,",
        "E3,,other,,",
        "E4,,,1990-02-30,",
        "E5,,,,yesterday",
        "E6,,,,0001-01-01T00:00:00+14:00",
        ",,,,",
        "E7\0,,,,",
        "E8,,,",
        f"{'E' * 65},,,,",
        "E9,,,,",
    ]

    answer = load("members", header + "\n".join(rows) + "\n")

    assert counts(answer)[0] == 2
    assert [row["line"] for row in answer.json["refused"]] == [3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert all(row["reason"] for row in answer.json["refused"])


@pytest.mark.covers("A12")
def test_a_purchase_that_can_not_be_taken_is_named_with_its_line(load):
    load("members", MEMBERS)
    header = "external_id,card_no,store_code,receipt_no,amount_fen,paid_at\n"
    when = "2026-01-01T10:00:00+08:00"
    rows = [
        f"E1,,A,R1,100,{when}",
        f",,A,R2,100,{when}",
        f"E9,,A,R3,100,{when}",
        f"E1,,A,R4,0,{when}",
        f"E1,,A,R5,1.5,{when}",
        f"E1,,A,R6,1000000001,{when}",
        f"E1,,A,R7,00000000001999999999999,{when}",
        f"E1,,A,R8,-1,{when}",
        f"E1,,,R9,100,{when}",
        f"E1,,A,,100,{when}",
        "E1,,A,R10,100,2999-01-01T00:00:00Z",
        "E1,,A,R11,100,0001-01-01T00:00:00+14:00",
        "E1,,A,R12,100,soon",
        f"E1\0,,A,R13,100,{when}",
        f"E1,\0,A,R14,100,{when}",
        f"E1,,A,R1,100,{when}",
    ]

    answer = load("purchases", header + "\n".join(rows) + "\n")

    assert counts(answer) == (1, 0, 1, 14)
    assert [row["line"] for row in answer.json["refused"]] == list(range(3, 17))


@pytest.mark.covers("A4")
def test_a_phone_of_another_member_is_refused_by_its_row(load, as_shopper):
    as_shopper("one").post("/me/phone", {"code": "phone-13812345678"})

    answer = load("members", MEMBERS)

    assert counts(answer) == (1, 0, 0, 1)
    assert answer.json["refused"] == [{"line": 2, "reason": "手机号已属于其他会员"}]


def test_a_file_that_can_not_be_read_is_refused_whole(load):
    files = {
        b"": "missing_columns",
        b"nickname\nx\n": "missing_columns",
        b"external_id,salary\nE1,1\n": "unknown_columns",
        b"external_id\n\xff\xfe\n": "line",
        b'external_id\n"open\n': "line",
        b"external_id\n" + b"x" * 200_000: "line",
    }

    answers = {data: load("members", data) for data in files}

    assert {(a.status_code, a.json["code"]) for a in answers.values()} == {(400, "malformed")}
    assert [
        (data[:20], name) for data, name in files.items() if name not in answers[data].json
    ] == []
    assert load.admin.get("/admin/members").json["items"] == []


def test_a_file_from_excel_with_its_mark_and_line_ends_is_read(load):
    answer = load("members", b"\xef\xbb\xbf" + MEMBERS.replace("\n", "\r\n").encode())

    assert counts(answer) == (2, 0, 0, 0)


def test_a_dry_run_is_true_or_false(load):
    answers = [load("members", MEMBERS, f"?dry_run={value}") for value in ("maybe", "", "2", "%00")]

    assert {(a.status_code, a.json["code"]) for a in answers} == {(400, "malformed")}
