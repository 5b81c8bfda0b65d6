"""The key ring: a key for each purpose, the first signs, all verify, none is ever shown."""

import base64

import pytest

from mall import keys


def test_each_purpose_and_each_key_has_a_key_of_its_own(app):
    made = {keys.derived(purpose, name) for purpose in ("a", "b") for name in ("k1", "k2")}

    assert len(made) == 4 and {len(key) for key in made} == {32}
    assert not made & set(keys.ring().values())


def test_the_first_of_the_ring_signs(app):
    assert keys.signing_name() == "k2" and list(keys.ring()) == ["k2", "k1"]


def test_a_key_the_ring_does_not_have_makes_nothing(app):
    assert (
        keys.derived("a", "k9") is keys.digest("a", "k9", b"") is keys.tag("a", "k9", b"") is None
    )
    assert not keys.same(None, "")


def test_a_tag_is_128_bits_in_22_characters(app):
    tag = keys.tag("a", "k1", b"message")

    assert len(tag) == 22 and len(base64.urlsafe_b64decode(tag + "==")) == 16
    assert keys.same(tag, tag) and not keys.same(tag, tag[:-1] + "x")
    assert keys.tag("a", "k1", b"massage") != tag != keys.tag("b", "k1", b"message")


@pytest.mark.parametrize("given", ["", "é" * 22, "x" * 500])
def test_whatever_is_given_can_be_compared(app, given):
    assert not keys.same(keys.tag("a", "k1", b""), given)
