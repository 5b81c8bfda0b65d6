"""Scans: what a clerk holds under the scanner becomes a member or a voucher, or is refused."""

import pytest

from mall import clock, codes, redemptions, scans, tokens, vouchers
from mall.errors import CodeInvalid, CodeUsed, NotFound, ScanExpired
from mall.idempotency import Replayed
from models import Member, MemberCodeUse, Voucher, db
from tests.makers import a_key
from tests.mall.books import DAY, ask, clerk, count, one, said


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def scan(hired, now):
    def under(code, who="clerk-a", *, key=None, at=now):
        return scans.scan(code, clerk=clerk(hired[who]), key=key or a_key(None, None), now=at)

    return under


@pytest.fixture
def a_card(a_member):
    """A member with 300 points, and the card number."""

    def make(**columns):
        member = a_member(points=300, **columns)
        return member, one(Member.card_no, Member.id == member)

    return make


@pytest.mark.covers("G1", "A2")
def test_a_member_code_shows_who_is_there_and_what_can_be_fetched(a_card, a_reward, scan, now):
    member, card_no = a_card(nickname="小满", phone="13812345678")
    redemptions.redeem(ask(member, a_reward(title="茶杯").id, 2), now=now)

    seen = said(scan(codes.mint(card_no, now=now)[0]))

    assert seen["kind"] == "member" and seen["voucher"] is None
    (voucher,) = seen["member"].pop("usable_vouchers")
    assert (voucher["title"], voucher["quantity"]) == ("茶杯", 2) and "code" not in voucher
    assert seen["member"] == {
        "id": member,
        "nickname": "小满",
        "phone_masked": "138****5678",
        "tier": {"code": "base", "name": "普通会员"},
        "points": 100,
    }


def test_a_scan_uses_the_code_up_and_its_token_stands_for_the_member(a_card, scan, hired, now):
    member, card_no = a_card()
    code = codes.mint(card_no, now=now)[0]
    token = said(scan(code))["scan_token"]

    with pytest.raises(CodeUsed):
        scan(code)
    for _ in range(3):
        assert tokens.scanned(token, staff_id=hired["clerk-a"], now=now) == member


def test_a_scan_told_again_with_its_key_shows_the_same(a_card, scan, now):
    _, card_no = a_card()
    code, key = codes.mint(card_no, now=now)[0], a_key(route="POST /clerk/scans")
    first = scan(code, key=key)

    with pytest.raises(Replayed) as twin:
        scan(code, key=key)

    assert twin.value.answer.body == first.body and count(MemberCodeUse) == 1


def test_a_scan_token_is_for_its_clerk_and_ten_minutes(a_card, scan, hired, now):
    _, card_no = a_card()
    token = said(scan(card_no))["scan_token"]
    late = now + tokens.SCAN_LASTS

    for staff_id, at, given in (
        (hired["clerk-b"], now, token),
        (hired["clerk-a"], late, token),
        (hired["clerk-a"], now, token + "x"),
        (hired["clerk-a"], now, ""),
    ):
        with pytest.raises(ScanExpired):
            tokens.scanned(given, staff_id=staff_id, now=at)


def test_a_card_number_will_do_as_often_as_it_is_typed(a_card, scan):
    member, card_no = a_card()

    assert [said(scan(card_no))["member"]["id"] for _ in range(2)] == [member, member]


def test_a_card_number_of_nobody_is_not_found(scan):
    with pytest.raises(NotFound):
        scan("880000000000")


def test_a_voucher_code_shows_the_voucher_and_does_not_use_it(a_card, a_reward, scan, now):
    member, _ = a_card()
    redemptions.redeem(ask(member, a_reward(title="茶杯").id), now=now)
    code = vouchers.code_of(db.session.get(Voucher, one(Voucher.id)))

    seen = said(scan(code.lower()))

    assert seen["kind"] == "voucher" and seen["member"] is seen["scan_token"] is None
    assert (seen["voucher"]["title"], seen["voucher"]["state"]) == ("茶杯", "issued")
    assert one(Voucher.state) == "issued"


@pytest.mark.covers("K9")
def test_another_stores_voucher_is_not_shown(a_card, a_reward, scan, stores, now):
    member, _ = a_card()
    redemptions.redeem(ask(member, a_reward().id, store_id=stores["B"]), now=now)
    code = vouchers.code_of(db.session.get(Voucher, one(Voucher.id)))

    with pytest.raises(NotFound):
        scan(code, "clerk-a")

    assert said(scan(code, "clerk-b"))["voucher"]["store"] == "B店"


@pytest.mark.parametrize("text", ["", "hello", "M1.x", "https://example.com", "88000000000"])
def test_what_is_no_code_of_ours_is_refused(scan, text):
    with pytest.raises(CodeInvalid):
        scan(text)


def test_an_expired_vouchers_face_says_so(a_card, a_reward, scan, now):
    member, _ = a_card()
    redemptions.redeem(ask(member, a_reward(voucher_lasts_days=1).id), now=now)
    code = vouchers.code_of(db.session.get(Voucher, one(Voucher.id)))

    assert said(scan(code, at=now + 9 * DAY))["voucher"]["state"] == "expired"
