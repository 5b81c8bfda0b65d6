"""Delivery addresses: sealed in the row, whole for who sends the parcel."""

import pytest
import sqlalchemy as sa

from mall import addresses
from models import IdempotencyKey, Redemption
from tests.makers import grant
from tests.mall.books import by_hand, one, rows

ADDRESS = {"name": "李雷", "phone": "13800000001", "region": "上海市", "detail": "人民路 1 号"}


@pytest.fixture
def sent(as_shopper, as_staff, a_reward):
    """A parcel on its way."""
    shopper, reward = as_shopper("li"), a_reward(kind="delivery", price_points=10)
    grant(shopper.id, 10)
    body = {"reward_id": reward.id, "quantity": 1, "address": ADDRESS}
    made = shopper.post("/me/redemptions", body).json["id"]
    parcel = {"carrier": "顺丰", "tracking_no": "SF1"}
    return as_staff("admin").post(f"/admin/redemptions/{made}/shipment", parcel)


@pytest.mark.covers("K7")
def test_an_address_stands_nowhere_in_the_clear(sent, as_staff):
    assert sent.json["address"] == ADDRESS

    kept = repr([rows(Redemption.address), rows(IdempotencyKey.body)])
    noted = str(as_staff("owner").get("/admin/audit").json)

    for text in ("李雷", "13800000001", "人民路"):
        assert text not in kept + noted and text.encode() not in one_body()


def one_body():
    return b"".join(bytes(body) for (body,) in rows(IdempotencyKey.body) if body is not None)


def test_who_only_looks_sees_the_region(sent, as_staff):
    (shown,) = as_staff("analyst").get("/admin/redemptions").json["items"]

    assert shown["address"] == {
        "name": "李**",
        "phone": "138****0001",
        "region": "上海市",
        "detail": "****",
    }
    assert as_staff("admin").get("/admin/redemptions").json["items"][0]["address"] == ADDRESS


def test_what_an_older_version_kept_open_is_sealed_once(sent):
    by_hand(sa.update(Redemption).values(address=ADDRESS))
    assert addresses.opened(one(Redemption.address)) == ADDRESS

    assert (addresses.seal_all(), addresses.seal_all()) == (1, 0)
    assert addresses.seal_all(everything=True) == 1

    assert list(one(Redemption.address)) == ["sealed"]
    assert addresses.opened(one(Redemption.address)) == ADDRESS


def test_an_address_whose_key_is_lost_is_none(sent, app, monkeypatch):
    monkeypatch.setitem(app.config, "SECRET_KEYS", "k9:" + "n" * 32)

    assert addresses.opened(one(Redemption.address)) is None
