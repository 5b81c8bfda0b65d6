"""Points as cash at the till: the admin's rule, the clerk's preview, the shopper's history."""

import pytest

RULE = {"rate_points": 100, "rate_fen": 100, "max_percent": 30, "step_points": 100}


@pytest.mark.covers("C4")
def test_from_the_rule_to_the_refund(as_staff, as_shopper, grant_points):
    admin, clerk, shopper = as_staff("admin"), as_staff("clerk-a"), as_shopper("one")
    grant_points(shopper, 2_000)
    rule = admin.post("/admin/payment-rules", RULE)
    bill = {"member_id": shopper.id, "receipt_no": "R1", "bill_fen": 5_000}

    seen = clerk.post("/clerk/points-payments", {**bill, "dry_run": True})
    paid = clerk.post("/clerk/points-payments", bill)

    assert (rule.status_code, rule.json["version"]) == (201, 1)
    assert (seen.status_code, paid.status_code) == (200, 201)
    assert (seen.json["points"], paid.json["points"], paid.json["to_pay_fen"]) == (
        *(1_500, 1_500),
        3_500,
    )
    assert "1500 分抵 15.00 元" in paid.json["reason"] and "30 %" in paid.json["reason_en"]
    receipt = {"member_id": shopper.id, "receipt_no": "R1", "amount_fen": 5_000}
    item = {"sku": "tea", "quantity": 2, "amount_fen": 4_000}
    bought = clerk.post("/clerk/purchases", {**receipt, "items": [item]}).json["id"]
    path = f"/clerk/purchases/{bought}/refunds"
    back = clerk.post(path, {"items": [{"sku": "tea", "quantity": 1}]})
    rest = clerk.post(path, {"whole": True})
    assert (back.json["amount_fen"], back.json["points_returned"]) == (2_000, 600)
    assert (rest.json["points_returned"], rest.json["refundable_fen"]) == (900, 0)
    assert shopper.get("/me/card").json["points"]["available"] == 2_000
    (listed,) = admin.get("/admin/points-payments").json["items"]
    assert (listed["points"], listed["returned_points"]) == (1_500, 1_500)


@pytest.mark.parametrize(
    "body", [{}, {"whole": False}, {"whole": True, "amount_fen": 1}, {"items": []}, {"items": [{}]}]
)
def test_a_refund_says_one_thing(body, as_staff):
    answer = as_staff("clerk-a").post("/clerk/purchases/1/refunds", body)

    assert (answer.status_code, answer.json["code"]) == (400, "malformed")


def test_refusals_are_in_both_languages_with_their_numbers(as_staff, as_shopper, grant_points):
    admin, clerk, shopper = as_staff("admin"), as_staff("clerk-a"), as_shopper("one")
    grant_points(shopper, 2_000)
    bill = {"member_id": shopper.id, "receipt_no": "R1", "bill_fen": 5_000, "points": 1_600}
    off = clerk.post("/clerk/points-payments", bill)
    admin.post("/admin/payment-rules", RULE)

    zh = clerk.post("/clerk/points-payments", bill)
    en = clerk.post("/clerk/points-payments", bill, headers={"Accept-Language": "en"})

    assert (off.status_code, off.json["code"]) == (409, "points_payments_off")
    assert (zh.json["code"], zh.json["limit"]) == ("more_than_share", 1_500)
    assert "最多可用 1500 分" in zh.json["detail"] and "At most 1500" in en.json["detail"]


def test_a_payment_of_another_store_is_nobodys(as_staff, as_shopper, grant_points):
    shopper = as_shopper("one")
    grant_points(shopper, 2_000)
    as_staff("admin").post("/admin/payment-rules", RULE)
    bill = {"member_id": shopper.id, "receipt_no": "R1", "bill_fen": 5_000}
    payment = as_staff("clerk-a").post("/clerk/points-payments", bill).json["id"]
    path = f"/clerk/points-payments/{payment}/cancellation"

    assert as_staff("clerk-b").post(path).status_code == 404
    assert as_staff("clerk-a").post(path).json["balance_after"] == 2_000
    assert as_staff("clerk-a").post(path).json["code"] == "payment_returned"
