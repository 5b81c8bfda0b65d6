"""What the shop wrote to a shopper, over HTTP."""

import pytest

from mall import clock, reactions
from tests.blueprints.routes import TEMPLATE


@pytest.fixture
def wrote(busy_shop):
    """A shop that thanks for a purchase; answers the shopper who bought twice."""
    admin, shopper, clerk = (busy_shop[who] for who in ("admin", "shopper", "clerk"))
    draft = admin.post("/admin/message-templates", TEMPLATE).json
    assert admin.post(f"/admin/message-templates/{draft['id']}/publication").json["version"] == 1
    shopper.patch("/me", {"nickname": "小满"})
    for number in (1, 2):
        receipt = {"receipt_no": f"M{number}", "amount_fen": 1_000 * number}
        clerk.post("/clerk/purchases", {"member_id": shopper.id, **receipt})
    while reactions.drain(now=clock.now()):
        pass
    return shopper


@pytest.mark.covers("J9")
def test_a_shopper_reads_what_was_written_in_their_language(wrote):
    zh = wrote.get("/me/messages").json
    en = wrote.get("/me/messages", headers={"Accept-Language": "en"}).json

    assert [each["body"] for each in zh["items"][:2]] == [
        "小满，本次消费获得20积分",
        "小满，本次消费获得10积分",
    ]
    assert en["items"][0]["title"] == "Thank you"
    assert zh["unread"] == len(zh["items"])


def test_what_was_read_is_no_longer_unread_and_others_cannot_read_it(wrote, as_shopper):
    newest = wrote.get("/me/messages").json["items"][0]["id"]

    other = as_shopper("other").post("/me/messages/reads", {"last_id": newest})
    all_but_one = wrote.post("/me/messages/reads", {"last_id": newest - 1})
    rest = wrote.post("/me/messages/reads", {"last_id": newest})

    assert other.json == {"unread": 0}
    assert (all_but_one.json, rest.json) == ({"unread": 1}, {"unread": 0})
    assert all(each["read_at"] for each in wrote.get("/me/messages").json["items"])
