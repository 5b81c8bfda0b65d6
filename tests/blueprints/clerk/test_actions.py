"""The till's own list of what was done, and undoing from it."""

import pytest


@pytest.fixture
def till(as_staff, as_shopper):
    """Clerk A, a shopper, and what records a receipt for that shopper."""
    clerk, shopper = as_staff("clerk-a"), as_shopper("somebody")

    def buy(receipt_no, by=clerk):
        receipt = {"member_id": shopper.id, "receipt_no": receipt_no, "amount_fen": 8_800}
        return by.post("/clerk/purchases", receipt).json

    return clerk, shopper, buy


@pytest.mark.covers("G4")
def test_a_clerk_sees_what_he_did_and_undoes_it(till):
    clerk, shopper, buy = till
    bought = buy("R1")

    (action,) = clerk.get("/clerk/actions").json["items"]
    undone = clerk.post(f"/clerk/actions/{action['id']}/undo", {"reason": "录错会员"})

    assert (action["kind"], action["ref_id"], action["label"]) == ("purchase", bought["id"], "R1")
    assert action["can_undo"] and action["undone_at"] is None
    assert (undone.status_code, undone.json["points"], undone.json["balance_after"]) == (
        200,
        -88,
        0,
    )
    (seen,) = clerk.get("/clerk/actions").json["items"]
    assert not seen["can_undo"] and seen["undone_by"] == "clerk-a"
    newest = shopper.get("/me/points/entries").json["items"][0]
    assert (newest["delta"], newest["reason"]) == (-88, "小票撤销：录错会员")
    assert buy("R1")["points_awarded"] == 88


def test_only_a_manager_sees_the_whole_store(till, as_staff):
    clerk, _, buy = till
    manager, stranger = as_staff("manager-a"), as_staff("clerk-b")
    buy("R1")
    buy("R2", by=manager)

    def labels(who, whose):
        seen = who.get(f"/clerk/actions?whose={whose}").json["items"]
        return [each["label"] for each in seen]

    assert (labels(clerk, "own"), labels(clerk, "store")) == (["R1"], ["R1"])
    assert (labels(manager, "own"), labels(manager, "store")) == (["R2"], ["R2", "R1"])
    assert labels(stranger, "store") == []


def test_after_the_window_a_clerk_is_told_whom_to_ask(till, tune):
    clerk, _, buy = till
    tune("undo_window_minutes", 0)
    buy("R1")
    (action,) = clerk.get("/clerk/actions").json["items"]

    late = clerk.post(f"/clerk/actions/{action['id']}/undo", {"reason": "录错"})

    assert not action["can_undo"]
    assert (late.status_code, late.json["code"]) == (409, "undo_too_late")
    assert "请联系店长撤销" in late.json["detail"]
