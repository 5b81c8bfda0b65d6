"""Templates of messages over HTTP."""

import pytest

from tests.blueprints.routes import TEMPLATE


@pytest.mark.covers("J9")
def test_an_admin_drafts_looks_mends_and_publishes(busy_shop):
    admin = busy_shop["admin"]
    wrong = {**TEMPLATE, "body_zh": "{name}，谢谢"}
    draft = admin.post("/admin/message-templates", wrong).json
    path = f"/admin/message-templates/{draft['id']}"

    refused = admin.post(f"{path}/publication")
    mended = admin.patch(path, {"body_zh": TEMPLATE["body_zh"]})
    seen = admin.get(f"{path}/preview?member_id={busy_shop['shopper'].id}").json
    published = admin.post(f"{path}/publication")

    assert (refused.status_code, refused.json["code"]) == (409, "template_unready")
    assert refused.json["detail"] == "文案不能发布：没有这些变量：{name}；缺少变量：{points}"
    assert mended.status_code == 200 and (seen["unknown"], seen["missing"]) == ([], [])
    assert published.json["version"] == 1
    assert admin.patch(path, {"is_on": False}).json["code"] == "template_published"
    assert admin.get("/admin/message-templates/999/preview").status_code == 404
    assert admin.get(f"{path}/preview?member_id=999").status_code == 404


def test_occasions_say_their_variables(busy_shop):
    items = busy_shop["admin"].get("/admin/message-occasions").json["items"]

    by_code = {each["occasion"]: each for each in items}
    assert by_code["points_expiring"]["needs"] == ["expires_on", "points"]
    assert set(by_code["thanks"]["variables"]) >= {"nickname", "amount_yuan", "store_name"}
