"""Members: found, and looked at from all sides."""

import pytest

ROW = {
    "id",
    "card_no",
    "nickname",
    "phone_masked",
    "tier",
    "points",
    "growth_value",
    "joined_at",
}


@pytest.fixture
def people(as_shopper):
    """Three members, two of whom have a name and a phone."""
    one, two, three = (as_shopper(name) for name in ("one", "two", "three"))
    for shopper, name, phone in ((one, "小明", "13812345678"), (two, "小明明", "13912345678")):
        shopper.patch("/me", {"nickname": name})
        shopper.post("/me/phone", {"code": f"phone-{phone}"})
    return one, two, three


@pytest.fixture
def found(as_staff):
    """The ids of those a search finds."""
    admin = as_staff("admin")

    def search(q: str) -> list[int]:
        answer = admin.get("/admin/members", query_string={"q": q})
        assert answer.status_code == 200, answer.json
        return [row["id"] for row in answer.json["items"]]

    return search


@pytest.mark.covers("A10")
def test_members_are_found_by_card_name_and_phone(people, found):
    one, two, three = (shopper.id for shopper in people)
    card_no = people[2].get("/me").json["card_no"]

    results = {
        q: found(q) for q in ("小明", "小明明", card_no, "5678", "2345678", "13812345678", "x")
    }

    assert results == {
        "小明": [two, one],
        "小明明": [two],
        card_no: [three],
        "5678": [two, one],
        "2345678": [two, one],
        "13812345678": [one],
        "x": [],
    }


def test_what_is_sought_means_itself(people, found):
    texts = ["%", "_", "小_", "\\", "'", '"', "678", "--", "（", "🎁"]

    results = {text: found(text) for text in texts}

    assert results == dict.fromkeys(texts, [])


@pytest.mark.parametrize("nothing", ["", " "])
def test_a_search_for_nothing_is_none(people, found, nothing):
    assert found(nothing) == [shopper.id for shopper in reversed(people)]


def test_without_a_search_all_are_listed_newest_first(people, as_staff):
    answer = as_staff("admin").get("/admin/members")

    rows = answer.json["items"]

    assert [row["id"] for row in rows] == [shopper.id for shopper in reversed(people)]
    assert all(set(row) == ROW for row in rows)
    assert [row["phone_masked"] for row in rows] == [None, "139****5678", "138****5678"]


def test_a_search_that_can_not_be_read_is_refused(as_staff):
    admin = as_staff("admin")
    wrong = ["x" * 65, "a\0b"]

    answers = [admin.get("/admin/members", query_string={"q": q}) for q in wrong]

    assert [(a.status_code, a.json["code"]) for a in answers] == [(400, "malformed")] * 2


@pytest.mark.covers("A10", "A5", "I2")
def test_one_page_shows_all_of_a_member(as_shopper, as_staff, a_reward, redeem):
    inviter = as_shopper("inviter")
    code = inviter.get("/me/referral").json["invite_code"]
    shopper, admin = as_shopper("one", invite_code=code, channel_code="poster"), as_staff("admin")
    receipt = {"member_id": shopper.id, "receipt_no": "R1", "amount_fen": 10_000}
    purchase = as_staff("clerk-a").post("/clerk/purchases", receipt).json
    redeemed = redeem(shopper, a_reward(price_points=30, title="杯子"))

    seen = admin.get(f"/admin/members/{shopper.id}").json

    assert seen["profile"] == shopper.get("/me").json
    assert (seen["points"], seen["pending_points"], seen["growth_value"]) == (70, 0, 100)
    assert (seen["channel_code"], seen["invited_by"]) == ("poster", inviter.id)
    assert (seen["account_state"], seen["tier"]["code"]) == ("open", "base")
    assert [(lot["points_earned"], lot["points_left"]) for lot in seen["lots"]] == [(100, 70)]
    assert seen["entries"] == shopper.get("/me/points/entries").json["items"]
    assert [p["id"] for p in seen["purchases"]] == [purchase["id"]]
    assert [(p["receipt_no"], p["points_awarded"]) for p in seen["purchases"]] == [("R1", 100)]
    assert [(v["redemption_id"], v["state"]) for v in seen["vouchers"]] == [
        (redeemed["id"], "issued")
    ]


def test_who_has_done_nothing_has_a_page_too(as_shopper, as_staff):
    shopper = as_shopper("new")

    seen = as_staff("admin").get(f"/admin/members/{shopper.id}").json

    assert [seen[name] for name in ("lots", "entries", "purchases", "vouchers")] == [[]] * 4
    assert (seen["invited_by"], seen["channel_code"]) == (None, None)
