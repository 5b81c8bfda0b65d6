"""Stores, and the numbers and pictures of the shop itself."""

import pytest
import sqlalchemy as sa

from mall import clock, code_images, demo, ledger, shop, staff, stores, tasks
from mall.errors import NameTaken, NotFound, WeChatUnavailable
from models import CheckInRule, CodeImage, EarningRule, Member, Reward, Staff, Store, Tier, db
from tests.fakes import PNG
from tests.makers import a_key
from tests.mall.books import by_hand, count, one, rows, said
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


def open_store(code, now, key=None):
    key = key or a_key(None, None)
    return stores.open_store(code=code, name=f"{code}店", address="路 1 号", key=key, now=now)


# stores


@pytest.mark.covers("K9")
def test_a_store_has_a_code_of_its_own(now):
    answer = open_store("A", now)

    assert answer.status == 201
    assert said(answer) == stores.view(stores.find(said(answer)["id"]))
    with pytest.raises(NameTaken):
        open_store("A", now)
    assert count(Store) == 1


def test_a_store_that_does_not_exist_is_not_found(app):
    with pytest.raises(NotFound):
        stores.find(404)


def test_codes_are_looked_up_and_opened_only_where_asked(now):
    open_store("A", now)

    assert set(stores.ids_by_code(["A", "B"], now=now)) == {"A"}
    assert set(stores.ids_by_code(["A", "B", "B"], now=now, open_new=True)) == {"A", "B"}
    assert stores.ids_by_code([], now=now, open_new=True) == {}
    assert count(Store) == 2


# the shop's numbers


def test_a_setting_is_the_shops_own_or_the_default(app):
    assert shop.setting("give_back_grace_days") == 7

    shop.tune("give_back_grace_days", 3)
    shop.tune("give_back_grace_days", 6)

    assert shop.setting("give_back_grace_days") == 6
    with pytest.raises(AssertionError):
        shop.tune("unknown", 1)


@pytest.mark.covers("B1")
def test_opening_a_shop_again_changes_nothing_that_was_tuned(now):
    by_hand(sa.update(Tier).where(Tier.code == "silver").values(name="银", growth_min=777))
    by_hand(sa.delete(CheckInRule).where(CheckInRule.streak_day > 3))

    shop.open_shop(now=now)

    assert [code for (code,) in rows(Tier.code, order=Tier.growth_min)] == [
        "base",
        "silver",
        "gold",
        "diamond",
    ]
    assert one(Tier.name, Tier.growth_min == 777) == "银"
    assert (count(CheckInRule), count(EarningRule)) == (3, 1)


# the demonstration


@pytest.mark.covers("D4", "D11")
def test_whoever_joins_the_demonstration_sees_its_tasks(a_member, now):
    demo.fill(now=now)

    shown = {each["code"]: each for each in tasks.listed(a_member(), now=now)}

    assert set(shown) == {code for code, *_ in demo.TASKS}
    assert shown["thousand"]["gift"] == "手冲咖啡一杯" and shown["daily"]["gift"] is None
    assert shown["newcomer"]["ends_at"] and shown["thousand"]["unit"] == "fen"
    assert {each["state"] for each in shown.values()} == {"todo"}


def test_an_empty_shop_is_filled_with_the_demonstration_once(now):
    assert demo.fill(now=now) and not demo.fill(now=now)

    assert shop.setting("demo")
    assert [code for (code,) in rows(Store.code, order=Store.id)] == ["A", "B"]
    assert {name for (name,) in rows(Staff.username)} == {"admin", "owner", "clerk-a", "clerk-b"}
    answer = staff.log_in(
        username="clerk-a", password="demo-clerk-a", key=a_key(None, None), now=now
    )
    assert said(answer)["store"]["code"] == "A"
    assert count(Reward, Reward.hot) == 1 and count(Reward, Reward.units_left > 0) == 8
    assert ledger.verify()["mismatches"] == []


def test_a_shop_with_a_store_is_not_filled(now):
    open_store("A", now)

    assert not demo.fill(now=now) and count(Staff) == 0 and not shop.setting("demo")


# pictures


def invite_code(member):
    return one(Member.invite_code, Member.id == member)


@pytest.mark.covers("F1")
def test_wechat_draws_an_invitation_once(a_member, wechat, now):
    code = invite_code(a_member())

    drawn = [code_images.of_invitation(code, wechat=wechat, now=now) for _ in range(3)]

    assert drawn == [PNG] * 3 and wechat.drawn == [code]


def test_nothing_is_drawn_for_a_code_of_nobody(app, wechat, now):
    with pytest.raises(NotFound):
        code_images.of_invitation("NOBODY22", wechat=wechat, now=now)

    assert wechat.drawn == []


def test_what_wechat_could_not_draw_is_drawn_the_next_time(a_member, wechat, now):
    code, wechat.down = invite_code(a_member()), True
    with pytest.raises(WeChatUnavailable):
        code_images.of_invitation(code, wechat=wechat, now=now)
    assert count(CodeImage) == 0
    wechat.down = False

    assert code_images.of_invitation(code, wechat=wechat, now=now) == PNG


def test_no_transaction_is_open_while_wechat_draws(a_member, now):
    class Slow:
        def code_image(self, scene):
            assert not db.session().in_transaction()
            return PNG

    assert code_images.of_invitation(invite_code(a_member()), wechat=Slow(), now=now) == PNG


def test_drawn_twice_at_once_it_is_kept_once(app, a_member, wechat, now):
    code = invite_code(a_member())

    drawn = together(app, [lambda: code_images.of_invitation(code, wechat=wechat, now=now)] * 6)

    assert drawn == [PNG] * 6 and count(CodeImage) == 1
