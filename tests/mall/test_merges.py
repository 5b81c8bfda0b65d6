"""Two members become one: everything moves, sums stay, and every old way leads to who is left."""

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from mall import (
    checkins,
    clock,
    holds,
    login,
    members,
    merges,
    packs,
    phones,
    points,
    purchases,
    redemptions,
    referrals,
    refunds,
    scans,
    undo,
    vouchers,
)
from mall.errors import (
    AccountFrozen,
    AlreadyMerged,
    MemberClosed,
    NotFound,
    PhoneTaken,
    RefundTooLarge,
    SameMember,
)
from mall.events import Joined
from mall.idempotency import Replayed
from mall.merges import rows as moved_rows
from mall.merges.duplicates import twins_of
from mall.points import Cause, Promise
from mall.purchases import Receipt
from mall.wechat import Identity
from models import (
    Account,
    Bundle,
    CheckIn,
    Event,
    LimitCounter,
    Member,
    Merge,
    MilestonePaid,
    Purchase,
    Redemption,
    Referral,
    TillAction,
    Voucher,
    db,
)
from tests.makers import a_key, grant
from tests.mall.books import (
    DAY,
    balance,
    book_of,
    by_hand,
    clerk,
    count,
    entries,
    lots,
    numbers,
    one,
    rows,
    said,
    spend,
    taken,
    wrong,
)
from tests.mall.together import together

ROUTE = "POST /api/v1/admin/members/1/merge"
TODAY = date(2026, 11, 20)


@pytest.fixture
def join(now):
    def two(into, source, key=None, at=now):
        asked = key or a_key(route=ROUTE)
        return merges.merge(into, source, "同一人", actor="staff:1", key=asked, now=at)

    return two


@pytest.fixture
def buy(hired, stores, now):
    def record(member, amount_fen=10_000, receipt_no="R1"):
        who = hired["clerk-a"]
        receipt = Receipt(stores["A"], receipt_no, member, amount_fen, now, staff_id=who)
        (recorded,) = purchases.record_receipts([receipt], now=now)
        return recorded.id

    return record


def figures(member):
    names = (
        Account.balance_points,
        Account.pending_points,
        Account.held_points,
        Account.debt_points,
        Account.growth_value,
        Account.tier_code,
        Account.state,
    )
    (row,) = rows(*names, where=[Account.member_id == member])
    return row


@pytest.mark.covers("A4")
def test_points_move_with_their_dates_and_sums_are_unchanged(a_member, join, now):
    source, target = a_member(), a_member(points=10)
    for days in (5, 9):
        grant(source, 100, expires_at=now + days * DAY)
    spend(source, 30, "gone")

    answer = join(target, source)

    assert (figures(source)[0], figures(target)[0]) == (0, 180)
    assert entries(source)[-1] == ("merge_out", -170, 0)
    assert entries(target)[-1] == ("merge_in", 170, 180)
    assert lots(target)[1:] == [(70, now + 5 * DAY), (100, now + 9 * DAY)] and lots(source) == []
    assert said(answer)["from"]["points"] == 170 and said(answer)["after"]["points"] == 180
    assert wrong() == []


@pytest.mark.covers("A4")
def test_one_row_tells_what_was_merged_why_and_by_whom(a_member, join, now):
    source, target = a_member(points=7), a_member()

    join(target, source)

    (row,) = rows(Merge)
    merged = row[0]
    assert (merged.from_member_id, merged.into_member_id, merged.holder_id) == (
        source,
        target,
        target,
    )
    assert (merged.reason, merged.actor, merged.merged_at) == ("同一人", "staff:1", now)
    assert merged.moved["from"]["points"] == 7 and merged.moved["into"]["points"] == 0
    assert figures(source)[-1] == "closed" and figures(target)[-1] == "open"
    assert count(Event, Event.kind == "merged", Event.member_id == target) == 1


def test_growth_adds_up_and_the_higher_tier_stays(a_member, join, buy):
    source, target = a_member(), a_member()
    buy(source, 60_000, "R1"), buy(target, 50_000, "R2")

    join(target, source)

    assert figures(target)[4:6] == (1_100, "silver") and figures(source)[4] == 0
    lucky, plain = a_member(), a_member()
    by_hand(sa.update(Account).where(Account.member_id == lucky).values(tier_code="gold"))
    join(plain, lucky)
    assert figures(plain)[5] == "gold" and wrong() == []


def test_what_comes_in_pays_a_debt_of_either(a_member, join, buy, now):
    owing, giver = a_member(), a_member(points=250)
    purchase = buy(owing)
    spend(owing, 100, "gone")
    undone(purchase, now)
    assert figures(owing)[3] == 100

    join(owing, giver)

    assert (figures(owing)[0], figures(owing)[3]) == (150, 0) and wrong() == []
    third = a_member(points=140)
    poor = a_member()
    second = buy(poor, receipt_no="R9")
    spend(poor, 100, "gone too")
    undone(second, now)
    join(third, poor)
    assert (figures(third)[0], figures(third)[3], figures(poor)[3]) == (40, 0, 0)
    assert wrong() == []


def undone(ref_id, now, kind="purchase"):
    where = [TillAction.kind == kind, TillAction.ref_id == ref_id]
    (action,) = rows(TillAction.id, TillAction.staff_id, where=where)
    key = a_key(route="POST /api/v1/clerk/actions/1/undo")
    return undo.undo(action[0], "错", staff=clerk(action[1]), key=key, now=now)


@pytest.mark.covers("A4")
def test_a_moved_receipt_is_refunded_and_undone_from_its_own_lot(a_member, join, buy, hired, now):
    source, target = a_member(), a_member()
    grant(target, 50, expires_at=now + DAY)
    first, second = buy(source, 10_000, "R1"), buy(source, 20_000, "R2")
    join(target, source)

    key = a_key(route="POST /api/v1/clerk/purchases/1/refunds")
    refund = refunds.refund(first, 10_000, clerk=clerk(hired["clerk-a"]), key=key, now=now)
    undone(second, now)

    assert said(refund)["points_taken"] == 100 and said(refund)["balance_after"] == 250
    assert [left for left, _ in lots(target)] == [50, 0, 0]
    assert figures(target)[3:6] == (0, 0, "base") and wrong() == []


@pytest.mark.covers("A4")
def test_vouchers_redemptions_and_limits_move_and_a_trade_can_be_cancelled(
    a_member, a_shelf, redeem, join, now
):
    source, target = a_member(points=10), a_member(points=10)
    shelf = a_shelf(per_member_limit=3)
    trade = said(redeem(source, shelf, 2))["id"]
    redeem(target, shelf)

    join(target, source)

    assert taken(target, shelf) == 3 and count(LimitCounter, LimitCounter.member_id == source) == 0
    assert count(Redemption, Redemption.member_id == target) == 2
    assert count(Voucher, Voucher.member_id == target) == 2
    key = a_key(target)
    cancelled = redemptions.cancel(target, trade, key=key, now=now)
    assert said(cancelled)["balance_after"] == 19 and balance(target) == 19
    assert taken(target, shelf) == 1 and wrong() == []


def test_two_who_used_one_key_keep_both_trades(a_member, a_shelf, redeem, join):
    source, target = a_member(points=10), a_member(points=10)
    shelf = a_shelf()
    redeem(source, shelf, key=a_key(source, "k" * 16))
    redeem(target, shelf, key=a_key(target, "k" * 16))

    join(target, source)

    assert count(Redemption, Redemption.member_id == target) == 2 and wrong() == []


def test_holds_and_promises_move(a_member, join, now):
    source, target = a_member(points=50), a_member(points=5)
    key = a_key(route="POST /api/v1/admin/members/1/holds")
    held = said(holds.hold(source, 20, reason="争议", actor="staff:1", key=key, now=now))["id"]
    promised = Promise(source, 8, Cause("referral", "referral", "77", "system"), now + DAY)
    with book_of(source):
        points.promise_many([promised], now=now)

    join(target, source)

    assert figures(source)[:3] == (0, 0, 0) and figures(target)[:3] == (35, 8, 20)
    key = a_key(route="POST /api/v1/admin/holds/1/voiding")
    holds.void(held, actor="staff:1", key=key, now=now)
    assert figures(target)[:3] == (55, 8, 0) and wrong() == []


def signed(member, *days):
    for number in days:
        at = clock.start_of_day(TODAY + timedelta(days=number)) + timedelta(hours=9)
        key = a_key(member, None, route="POST /api/v1/me/checkins")
        checkins.check_in(member, key=key, now=at)


@pytest.mark.covers("A4", "D2")
def test_days_of_both_are_one_calendar_and_no_milestone_is_paid_twice(a_member, join):
    source, target = a_member(), a_member()
    signed(source, *range(7))
    signed(target, 5, 6, 7)
    before = count(MilestonePaid)

    join(target, source)

    streaks = rows(
        CheckIn.day, CheckIn.streak_days, where=[CheckIn.member_id == target], order=CheckIn.day
    )
    assert [streak for _, streak in streaks] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rows(CheckIn.streak_days, where=[CheckIn.member_id == source]) == [(1,), (2,)]
    assert rows(MilestonePaid.member_id) == [(target,)] and before == 1
    signed(target, 8)
    assert count(MilestonePaid) == 1 and wrong() == []


@pytest.mark.covers("A4", "F1")
def test_a_friend_keeps_one_referrer(a_member, join, now):
    inviter, other = a_member(), a_member()
    source, target = a_member(), a_member()
    bind(source, inviter, now), bind(target, other, now)

    join(target, source)

    assert referral(target)[:2] == (other, "joined")
    assert referral(source) == (inviter, "refused", "merged")
    late, fresh = a_member(), a_member(joined_at=now + DAY)
    bind(late, inviter, now)
    join(fresh, late)
    assert referral(fresh)[:2] == (inviter, "joined")


def test_who_was_a_member_before_was_brought_by_nobody(a_member, join, now):
    inviter, target = a_member(), a_member(joined_at=now - 30 * DAY)
    source = a_member()
    bind(source, inviter, now)

    join(target, source)

    assert referral(source)[1] == "refused"
    assert count(Referral, Referral.invitee_id == target) == 0


def test_who_invited_themselves_is_paid_nothing(a_member, join, buy, now, drained):
    source, target, friend = a_member(), a_member(), a_member()
    bind(target, source, now), bind(friend, source, now)
    buy(target)
    drained()
    assert referral(target)[1] == "qualified" and figures(source)[1] > 0

    join(target, source)

    assert referral(target)[1:] == ("refused", "merged") and referral(friend)[0] == target
    assert figures(target)[1] == figures(source)[1] == 0 and wrong() == []


def test_a_promise_to_a_friend_comes_true_after_they_are_merged(a_member, join, buy, now, drained):
    inviter, source = a_member(), a_member()
    target = a_member(joined_at=now + DAY)
    bind(source, inviter, now)
    buy(source)
    drained()

    join(target, source)
    referrals.reward_due(now=now + 30 * DAY)

    assert referral(target)[:2] == (inviter, "rewarded")
    assert balance(inviter) == 100 and balance(target) == 150 and wrong() == []


@pytest.fixture
def drained(now):
    from mall import reactions

    return lambda: reactions.drain(now=now)


def bind(invitee, inviter, now):
    code = one(Member.invite_code, Member.id == inviter)
    assert referrals.bind(invitee, code, now=now)


def referral(invitee):
    columns = (Referral.inviter_id, Referral.state, Referral.reason)
    (row,) = rows(*columns, where=[Referral.invitee_id == invitee])
    return row


@pytest.mark.covers("A4", "H1", "H2")
def test_a_birthday_and_a_welcome_are_not_given_again_after_a_merge(a_member, join, tune, now):
    by_hand(sa.insert(Bundle).values(**GIFT, published_at=now))
    tune("birthday_bundles", {"": "gift"})
    tune("welcome_bundle", "gift")
    born = clock.business_day(now).replace(year=1990)
    source = a_member(birthday=born, joined_at=now - DAY)
    target = a_member(joined_at=now - DAY)
    packs.welcome(Joined(source), now=now)
    packs.birthdays(now=now)
    assert balance(source) == 20

    join(target, source)
    packs.birthdays(now=now)
    packs.welcome(Joined(target), now=now)

    assert balance(target) == 20 and one(Member.birthday, Member.id == target) == born


GIFT = {"code": "gift", "version": 1, "name": "礼", "points": 10, "growth_value": 0, "rewards": []}


@pytest.mark.covers("A4")
def test_every_old_way_leads_to_who_is_left(a_member, join, hired, now):
    source = a_member(openid="o-old", nickname="小明", city="上海")
    target, friend = a_member(openid="o-new"), a_member()
    card = one(Member.card_no, Member.id == source)
    join(target, source)

    who = Identity("wxtest", "o-old", None)
    key = a_key(None, None, route="POST /api/v1/auth/wechat")
    entered = said(login.log_in(who, key=key, now=now))
    scanned = said(scans.scan(card, clerk=clerk(hired["clerk-a"]), key=key, now=now))

    assert (entered["member"]["id"], entered["joined"]) == (target, False)
    assert scanned["member"]["id"] == target
    assert (entered["member"]["nickname"], entered["member"]["city"]) == ("小明", "上海")
    bind(friend, source, now)
    assert referral(friend)[0] == target


def test_who_is_merged_twice_is_led_to_the_last(a_member, join, now):
    first, second, third = (a_member(openid=f"o-{n}", points=10) for n in range(3))

    join(second, first)
    join(third, second)

    assert members.id_of(appid="wxtest", openid="o-0") == third and balance(third) == 30
    assert one(Merge.into_member_id, Merge.from_member_id == first) == second
    assert wrong() == []


def test_a_merge_that_makes_no_sense_is_refused_and_changes_nothing(a_member, join):
    source, target, other = a_member(points=5), a_member(), a_member()
    with pytest.raises(SameMember):
        join(target, target)
    with pytest.raises(NotFound):
        join(target, 999_999)
    by_hand(sa.update(Account).where(Account.member_id == other).values(state="frozen"))
    with pytest.raises(AccountFrozen):
        join(target, other)
    join(target, source)

    with pytest.raises(AlreadyMerged) as refusal:
        join(other, source)

    assert refusal.value.details == {"member_id": source, "holder_id": target}
    by_hand(sa.update(Account).where(Account.member_id == other).values(state="closed"))
    with pytest.raises(MemberClosed):
        join(target, other)
    assert balance(target) == 5 and count(Merge) == 1


def test_merging_twice_with_one_key_merges_once(a_member, join):
    source, target, key = a_member(points=5), a_member(), a_key(route=ROUTE)
    join(target, source, key=key)

    with pytest.raises(Replayed):
        join(target, source, key=key)

    assert balance(target) == 5


@pytest.mark.covers("A4")
def test_two_who_are_merged_into_each_other_at_once_become_one(app, a_member, join, buy, hired):
    for number in range(4):
        one_, other = a_member(points=10), a_member(points=20)
        purchase = buy(one_, receipt_no=f"R{number}")
        key = a_key(route="POST /api/v1/clerk/purchases/1/refunds")
        who = hired["clerk-a"]

        def give_back(p=purchase, k=key, w=who):
            return refunds.refund(p, 10_000, clerk=clerk(w), key=k, now=clock.now())

        works = [lambda a=one_, b=other: join(a, b), lambda a=one_, b=other: join(b, a), give_back]
        outcomes = together(app, works)

        assert sum(isinstance(each, AlreadyMerged) for each in outcomes[:2]) == 1, outcomes
        if isinstance(outcomes[2], Exception):
            assert not isinstance(outcomes[2], RefundTooLarge), outcomes
            give_back(k=a_key(route=key.route))
        left = {balance(one_), balance(other)}
        assert left == {0, 30} and wrong() == []


@pytest.mark.covers("A4")
def test_the_preview_is_what_the_merge_then_does(a_member, a_shelf, redeem, join, buy, now):
    source, target = a_member(points=50, nickname="甲"), a_member(points=5, nickname="乙")
    buy(source, 120_000)
    redeem(source, a_shelf())
    signed(source, 0, 1)
    signed(target, 1)

    told = merges.preview(source, target, now=now)
    done = said(join(target, source))

    assert told["moves"] == done["moves"] and told["moves"]["checkin_days"] == 1
    assert told["after"].items() <= done["after"].items()
    assert told["after"]["tier"] == "silver" and told["differs"] == ["nickname"]


def bind_phone(member, phone, now):
    key = a_key(member, route="POST /api/v1/me/phone")
    return merges.bind_phone(member, phone, key=key, now=now)


@pytest.mark.covers("A4", "A12")
@pytest.mark.parametrize("written", ["13812345678", "8613812345678"])
def test_an_imported_member_with_the_phone_becomes_part_of_the_shopper(written, a_member, now):
    """PEERS, SCREENS 1: a duplicate that an import made goes by itself."""
    person = {"external_id": "E1", **phones.columns(written)}
    joined = members.join_many([person], tier_code="base", now=now - 90 * DAY)
    imported, shopper = joined["E1"], a_member()
    with book_of(imported) as book:
        book.grant(imported, 300, Cause("adjust", "t", "1", "system"), expires_at=now + DAY)

    answer = bind_phone(shopper, "13812345678", now)

    assert said(answer) == {"phone_masked": "138****5678"}
    assert balance(shopper) == 300 and figures(imported)[-1] == "closed"
    columns = (Member.external_id, Member.joined_at)
    (row,) = rows(*columns, where=[Member.id == shopper])
    assert numbers() == [None, "13812345678"] and row == ("E1", now - 90 * DAY) and wrong() == []


def test_a_shopper_who_changes_his_phone_takes_the_imported_one_over(a_member, now):
    person = {"external_id": "E1", **phones.columns("13812345678")}
    imported = members.join_many([person], tier_code="base", now=now)["E1"]
    shopper = a_member(phone="13900000000")

    bind_phone(shopper, "13812345678", now)

    assert imported < shopper and numbers() == [None, "13812345678"]


def test_a_phone_of_somebody_who_logs_in_stays_refused(a_member, now):
    member, other = a_member(phone="13812345678"), a_member()

    with pytest.raises(PhoneTaken):
        bind_phone(other, "13812345678", now)

    assert count(Merge) == 0 and figures(member)[-1] == "open"


def test_a_frozen_twin_is_left_to_people(a_member, now):
    person = {"external_id": "E1", **phones.columns("13812345678")}
    imported = members.join_many([person], tier_code="base", now=now)["E1"]
    by_hand(sa.update(Account).where(Account.member_id == imported).values(state="frozen"))

    with pytest.raises(PhoneTaken):
        bind_phone(a_member(), "13812345678", now)

    assert count(Merge) == 0


@pytest.mark.covers("A4")
def test_those_who_look_like_one_person_are_listed(a_member, join):
    same = [a_member(phone=each) for each in ("13812345678", "8613812345678", "13900000000")]
    born = {"nickname": "小红", "birthday": date(1990, 2, 3)}
    people = [a_member(**born), a_member(**born), a_member(nickname="小红")]

    listed = {each.id: twins_of(each) for each in db.session.scalars(merges.duplicates())}

    assert listed == {
        same[0]: [{"reason": "same_phone", "members": [same[1]]}],
        people[0]: [{"reason": "same_name_and_birthday", "members": [people[1]]}],
    }
    join(same[0], same[1])
    join(people[0], people[1])
    assert db.session.scalars(merges.duplicates()).all() == []


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("+86 138-1234-5678", "13812345678"),
        ("008613812345678", "13812345678"),
        ("8613812345678", "13812345678"),
        ("86123456", "86123456"),
        ("+1 415 555 0100", "14155550100"),
    ],
)
def test_a_phone_number_has_one_spelling(written, normal):
    assert phones.normal(written) == normal


def test_every_table_that_names_a_member_is_decided_about(app):
    named = {
        table.name
        for table in db.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in ("members", "accounts")
    }

    moved = {model.__tablename__ for model in moved_rows.MOVED}
    decided = [*moved, *moved_rows.HANDLED, *moved_rows.KEPT]
    assert named == set(decided) and len(decided) == len(set(decided))
    assert {Purchase.__tablename__} <= moved


def test_a_voucher_that_moved_is_used_by_its_code(a_member, a_shelf, redeem, join, hired, now):
    source, target = a_member(points=10), a_member()
    redeem(source, a_shelf())
    (row,) = rows(Voucher, where=[Voucher.member_id == source])
    code = vouchers.code_of(row[0])
    join(target, source)

    key = a_key(route="POST /api/v1/clerk/vouchers/x/use")
    used = vouchers.use(code, clerk=clerk(hired["clerk-a"]), key=key, now=now)

    assert used.status == 200
    assert one(TillAction.member_id, TillAction.kind == "voucher_use") == target
