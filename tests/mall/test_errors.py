"""Refusals: each has a code of its own, and a sentence in both languages for the shopper."""

import re
import string

import pytest

from mall import errors
from mall.errors import MallError

FAMILIES = {
    errors.Malformed,
    errors.Unauthenticated,
    errors.Forbidden,
    errors.NotFound,
    errors.Refused,
    errors.TooMany,
    errors.Unavailable,
    errors.KeyReused,
}


def everyone(kind=MallError):
    for each in kind.__subclasses__():
        yield each
        yield from everyone(each)


TOLD = {each for each in everyone() if each.__module__.startswith("mall.errors")}
ALL = sorted(TOLD, key=lambda each: each.__name__)


@pytest.mark.parametrize("error", ALL, ids=lambda each: each.__name__)
def test_a_refusal_has_a_family_a_code_and_a_sentence_in_both_languages(error):
    assert any(issubclass(error, family) for family in FAMILIES)
    assert re.fullmatch("[a-z]+(_[a-z]+)*", error.code)
    assert re.search("[\u4e00-\u9fff]", error.zh) and not re.search("[\u4e00-\u9fff]", error.en)


@pytest.mark.parametrize("error", ALL, ids=lambda each: each.__name__)
def test_both_sentences_tell_numbers_that_the_refusal_has(error):
    names = {
        name
        for sentence in (error.zh, error.en)
        for _, name, _, _ in string.Formatter().parse(sentence)
        if name
    }
    refusal = error(**{name: 7 for name in names})

    assert "{" not in refusal.sentence("zh") + refusal.sentence("en")
    assert refusal.sentence() == refusal.sentence("zh")


def test_no_two_refusals_have_one_code():
    assert len({each.code for each in ALL}) == len(ALL)


def test_a_refusal_in_a_log_says_its_code_and_its_numbers():
    assert str(errors.NotFound()) == "not_found"
    assert str(errors.NotEnoughPoints(short_by=3)) == "not_enough_points {'short_by': 3}"


def test_how_long_to_wait_is_the_familys_unless_it_is_told():
    assert errors.Unavailable().retry_after_s == 2
    assert errors.TooMany(retry_after_s=9).retry_after_s == 9
    assert errors.NotFound().retry_after_s is None


@pytest.mark.parametrize(
    ("period", "zh", "en"),
    [
        ("ever", "每人限兑 2 件，已达上限", "Limited to 2 a member."),
        ("day", "每日每人限兑 2 件，已达上限", "Limited to 2 a member a day."),
        ("week", "每周每人限兑 2 件，已达上限", "Limited to 2 a member a week."),
        ("month", "每月每人限兑 2 件，已达上限", "Limited to 2 a member a month."),
    ],
)
def test_a_limit_that_was_reached_says_for_how_long(period, zh, en):
    refusal = errors.LimitReached(limit=2, period=period)

    assert (refusal.sentence("zh"), refusal.sentence("en")) == (zh, en)
