"""What the shop writes to members: on which occasion, in which words, and once."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mall import bundles, clock, messages, packs, points, reactions, shop
from mall.errors import TemplatePublished, TemplateUnready
from mall.events import Purchased, record
from models import Event, Member, Message
from tests.makers import a_key
from tests.mall.books import by_hand, give, rows, said
from tests.mall.tier_books import TierBooks, day

pytestmark = pytest.mark.usefixtures("app")
NOW = day("2027-01-10")
WORDS = {
    "welcome": ("欢迎加入", "{nickname}，你好！现有{balance}积分", "Welcome", "Hello {nickname}"),
    "thanks": (
        "谢谢光临{store_name}",
        "消费{amount_yuan}元，获得{points}积分",
        "Thank you",
        "{points} points for ¥{amount_yuan}",
    ),
    "birthday": ("生日快乐", "{nickname}，{gift_name}已到账", "Happy birthday", "{gift_name}"),
    "tier_up": ("恭喜升级", "您已升为{tier_name}", "Congratulations", "You are {tier_name} now"),
    "points_expiring": (
        "积分即将到期",
        "{points}积分将于{expires_on}到期",
        "Points end soon",
        "{points} points end on {expires_on}",
    ),
}


@pytest.fixture
def books(stores, hired):
    return TierBooks(stores, hired)


def words(occasion, **changed):
    texts = dict(zip(("title_zh", "body_zh", "title_en", "body_en"), WORDS[occasion], strict=True))
    return {"occasion": occasion, "is_on": True, **texts, **changed}


def drafted(occasion, **changed) -> int:
    key = a_key(route="draft")
    return said(messages.draft(words(occasion, **changed), staff_id=None, key=key, now=NOW))["id"]


def publish(template_id: int) -> dict:
    return said(messages.publish(template_id, staff_id=None, key=a_key(route="publish"), now=NOW))


def written(member_id: int) -> list[tuple[str, str, str]]:
    columns = (Message.occasion, Message.title_zh, Message.body_zh)
    return rows(*columns, where=[Message.member_id == member_id])


def drain(now=NOW):
    while reactions.drain(now=now):
        pass


# templates


@pytest.mark.covers("J9")
@pytest.mark.parametrize(
    ("changed", "unknown", "missing"),
    [
        ({"body_zh": "{points}积分，{pionts}"}, ["pionts"], []),
        ({"body_en": "Thank you"}, [], ["points"]),
        ({"body_zh": "{}"}, [""], ["points"]),
        ({"title_en": "{nickname.__class__} {points}"}, ["nickname.__class__"], []),
    ],
)
def test_a_text_that_cannot_be_filled_is_not_published(changed, unknown, missing):
    draft = drafted("thanks", **changed)

    with pytest.raises(TemplateUnready) as refusal:
        publish(draft)

    assert refusal.value.details["unknown"] == unknown
    assert refusal.value.details["missing"] == missing
    assert messages.find(draft).version is None and messages.kinds() == set()
    seen = messages.preview(draft, member_id=None)
    assert (seen["unknown"], seen["missing"]) == (unknown, missing)


@pytest.mark.covers("J9")
def test_a_preview_reads_as_the_message_will(a_member):
    member = a_member(nickname="小满", points=7)
    draft = drafted("welcome")

    sample = messages.preview(draft, member_id=None)
    theirs = messages.preview(draft, member_id=member)

    assert (sample["body_zh"], sample["missing"]) == ("小满，你好！现有1280积分", [])
    assert (theirs["body_zh"], theirs["body_en"]) == ("小满，你好！现有7积分", "Hello 小满")


def test_a_published_text_stays_and_the_next_version_is_another(a_member):
    first = publish(drafted("thanks"))

    second = publish(drafted("thanks", title_zh="多谢"))

    assert (first["version"], second["version"]) == (1, 2)
    with pytest.raises(TemplatePublished):
        messages.redraft(first["id"], {"title_zh": "改"})
    with pytest.raises(TemplatePublished):
        publish(first["id"])


def test_every_occasion_has_all_that_it_needs():
    for code, occasion in messages.OCCASIONS.items():
        assert occasion.needs <= set(occasion.variables), code
        assert publish(drafted(code))["version"] == 1


# messages


@pytest.mark.covers("J9")
def test_a_newcomer_is_welcomed_once_and_an_imported_member_not(a_member):
    publish(drafted("welcome"))
    newcomer, imported = a_member(nickname="小满"), a_member()
    by_hand(sa.update(Member).where(Member.id == imported).values(external_id="E1"))

    drain()
    by_hand(sa.update(Event).values(done_at=None))
    drain()

    assert written(newcomer) == [("welcome", "欢迎加入", "小满，你好！现有0积分")]
    assert written(imported) == []


@pytest.mark.covers("J9")
def test_a_purchase_is_thanked_for_with_its_points_and_an_old_one_is_not(a_member, books):
    publish(drafted("thanks"))
    member = a_member()

    books.buy(member, 128, at=NOW)
    books.buy(member, 50, at=NOW, paid_at=NOW - timedelta(days=3))
    drain()

    (only,) = written(member)
    assert only[1].startswith("谢谢光临") and only[2] == "消费128.00元，获得128积分"


def test_a_rise_and_points_that_end_and_a_birthday_are_written_about(a_member, books):
    for occasion in ("tier_up", "points_expiring", "birthday"):
        publish(drafted(occasion))
    born = a_member(nickname="小满", birthday=clock.business_day(NOW))
    by_hand(sa.update(Member).values(joined_at=NOW - timedelta(days=400)))
    values = {"code": "cake", "name": "生日礼", "points": 100, "growth_value": 0}
    values |= {"rewards": [], "benefits": []}
    bundles.publish(values, staff_id=books.admin, key=a_key(route="bundle"), now=NOW)
    shop.tune("birthday_bundles", {"": "cake"})
    books.buy(born, 1000, at=NOW)
    give(born, 30, "old", expires_at=NOW + timedelta(days=7), now=NOW - timedelta(days=40))

    packs.birthdays(now=NOW)
    points.remind_due(now=NOW)
    drain()

    ends = NOW + timedelta(days=7)
    assert sorted(written(born)) == [
        ("birthday", "生日快乐", "小满，生日礼已到账"),
        ("points_expiring", "积分即将到期", f"30积分将于{clock.business_day(ends)}到期"),
        ("tier_up", "恭喜升级", "您已升为银卡会员"),
    ]


def test_nobody_is_written_to_where_the_shop_has_no_words_or_switched_them_off(a_member, books):
    member = a_member()
    books.buy(member, 10, at=NOW)
    drain()
    publish(drafted("thanks"))
    publish(drafted("thanks", is_on=False))

    books.buy(member, 10, at=NOW)
    drain()

    assert written(member) == []


def test_what_somebody_calls_themselves_is_said_as_it_is(a_member, books):
    publish(drafted("welcome"))
    member = a_member(nickname="{balance}")
    drain()

    assert written(member)[0][2] == "{balance}，你好！现有0积分"


def test_an_undone_receipt_that_nobody_was_thanked_for_yet_is_not_thanked_for(a_member):
    publish(drafted("thanks"))
    member = a_member()
    record(Purchased(member, 10**6, 100), now=NOW)

    drain()

    assert written(member) == []
