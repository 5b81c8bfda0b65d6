"""Logging in with WeChat: the first time joins, and nobody joins twice."""

from dataclasses import replace
from string import ascii_letters, digits

import pytest
import sqlalchemy as sa

from mall import clock, login, tokens
from mall.errors import MemberClosed, Unauthenticated, Unavailable
from mall.idempotency import Answer, Replayed
from mall.wechat import Identity
from models import Account, IdempotencyKey, Member, Referral
from tests.makers import a_key
from tests.mall.books import MOMENT, by_hand, count, one, rows, said
from tests.mall.together import together

SOMEBODY = Identity("wx", "o-1", "u-1")


@pytest.fixture
def now(app):
    return clock.now()


@pytest.fixture
def log_in(now):
    def as_(who=SOMEBODY, *, key=None, **more):
        return login.log_in(who, key=key or a_key(None, None), now=now, **more)

    return as_


@pytest.mark.covers("A1")
def test_the_first_log_in_joins_and_the_next_finds_the_member(log_in, now):
    first, again = said(log_in()), said(log_in())

    assert (first["joined"], again["joined"]) == (True, False)
    assert first["member"] == again["member"]
    assert first["expires_in_s"] == 7200
    assert tokens.shopper_of(first["access_token"], now=now) == first["member"]["id"]
    assert count(Member) == 1 and one(Member.unionid) == "u-1"


@pytest.mark.covers("A1")
def test_twenty_log_ins_at_once_make_one_member(app, log_in):
    outcomes = together(app, [log_in] * 20)

    assert all(isinstance(each, Answer) for each in outcomes), outcomes
    assert [said(each)["joined"] for each in outcomes].count(True) == 1
    assert len({said(each)["member"]["id"] for each in outcomes}) == 1
    assert count(Member) == count(Account) == 1


@pytest.mark.covers("A11", "F1")
def test_who_invited_and_the_channel_are_noted_at_joining_and_never_after(a_member, log_in):
    inviter, other = a_member(), a_member()
    codes = [one(Member.invite_code, Member.id == each) for each in (inviter, other)]

    log_in(invite_code=codes[0], channel_code="poster-1")
    log_in(invite_code=codes[1], channel_code="poster-2")

    assert [each for (each,) in rows(Referral.inviter_id)] == [inviter]
    assert one(Member.channel_code, Member.openid == "o-1") == "poster-1"


@pytest.mark.covers("F1")
def test_an_old_member_can_not_be_invited(a_member, log_in):
    log_in()

    log_in(invite_code=one(Member.invite_code, Member.id == a_member()))

    assert count(Referral) == 0


def test_a_code_of_nobody_does_not_keep_anybody_out(log_in):
    assert said(log_in(invite_code="NOBODY"))["joined"] is True


def test_a_closed_member_is_refused(log_in):
    log_in()
    by_hand(sa.update(Account).values(state="closed"))

    with pytest.raises(MemberClosed):
        log_in()


def test_a_log_in_told_twice_gives_the_same_token_which_can_not_be_read(log_in):
    key = replace(a_key(route="POST /auth/wechat"), sealed=True)
    first = log_in(key=key)

    with pytest.raises(Replayed) as twin:
        log_in(key=key)

    assert twin.value.answer.body == first.body
    token = said(first)["access_token"].encode()
    assert token not in bytes(one(IdempotencyKey.body, IdempotencyKey.key == key.text))


def test_whoever_can_not_be_made_a_member_may_try_again(log_in, monkeypatch):
    """A union id that another program's member has already: no second member, no half of one."""
    log_in(Identity("wy", "o-9", "u-1"))

    with pytest.raises(Unavailable):
        log_in()

    assert count(Member) == count(Account) == 1


# the token


def test_a_shoppers_token_is_good_for_two_hours_to_the_second(app, now):
    token, lasts_s = tokens.for_shopper(7, now=now)
    until = now.replace(microsecond=0) + tokens.SHOPPER_LASTS

    assert tokens.shopper_of(token, now=until - MOMENT) == 7 and lasts_s == 7200
    with pytest.raises(Unauthenticated):
        tokens.shopper_of(token, now=until)


def test_a_forged_token_is_nobodys(app, now):
    token, _ = tokens.for_shopper(7, now=now)
    scanned = tokens.for_scan(7, staff_id=1, now=now)

    alike = [token[:-1] + letter for letter in ascii_letters + digits if letter != token[-1]]
    forged = [*alike, token + "x", token + "=", "s.", "s.x.y", "s.\u00e9.\u4e2d", ""]
    for text in [*forged, tokens.SHOPPER_PREFIX + scanned]:
        with pytest.raises(Unauthenticated):
            tokens.shopper_of(text, now=now)


def test_turning_the_ring_logs_nobody_out_and_losing_a_key_does(app, now, monkeypatch):
    token, _ = tokens.for_shopper(7, now=now)
    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k3:{'c' * 32},{app.config['SECRET_KEYS']}")
    assert tokens.shopper_of(token, now=now) == 7
    newer, _ = tokens.for_shopper(7, now=now)

    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k3:{'c' * 32}")
    assert tokens.shopper_of(newer, now=now) == 7
    with pytest.raises(Unauthenticated):
        tokens.shopper_of(token, now=now)
