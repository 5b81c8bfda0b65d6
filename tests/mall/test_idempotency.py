"""Keys: asked twice is done once, and the answer is the very same bytes."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from mall import clock, idempotency, jobs, keys
from mall.atomic import atomic
from mall.errors import KeyExpired, KeyInProgress, KeyReused
from mall.idempotency import Answer, Key, Replayed
from models import IdempotencyKey, ShopSetting
from models.base import insert
from tests.mall.books import DAY, MOMENT, by_hand, count, one, rows
from tests.mall.together import Halt, together

WEEK = 7 * DAY
ROUTE = "POST /things"


@pytest.fixture
def now(app):
    return clock.now()


def a_key(text="key-number-one-of-them", **more):
    return Key(**{"caller": "member:1", "route": ROUTE, "text": text, "fingerprint": "f", **more})


def do(key, now, payload=None, effect=None):
    """A verb as all verbs are: claim, act, store."""
    with atomic() as transaction:
        key.claim(now=now)
        if effect:
            transaction.execute(insert(ShopSetting).values(name=effect, value=1))
        return key.store(201, payload or {"done": True})


def state(key):
    return one(IdempotencyKey.state, IdempotencyKey.key == key.text)


def test_the_second_time_is_told_what_the_first_was(now):
    key = a_key()
    first = do(key, now, {"n": 1, "名": "值"})

    with pytest.raises(Replayed) as twin:
        do(key, now, {"n": 2})

    assert not first.replayed
    assert twin.value.answer == Answer(201, '{"n":1,"名":"值"}'.encode(), replayed=True)
    assert idempotency.find(key) == twin.value.answer


def test_a_key_never_seen_has_no_answer(now):
    assert idempotency.find(a_key()) is None


def test_without_a_key_everything_happens_each_time(now):
    key = a_key(text=None)

    do(key, now, effect="one")
    do(key, now, effect="two")

    assert count(ShopSetting) == 2 and count(IdempotencyKey) == 0
    assert idempotency.find(key) is None


def test_one_key_with_another_body_is_refused(now):
    do(a_key(), now)
    other = a_key(fingerprint="g")

    with pytest.raises(KeyReused):
        idempotency.find(other)
    with pytest.raises(KeyReused):
        do(other, now, effect="never")

    assert count(ShopSetting) == 0


@pytest.mark.parametrize(
    "other", [{"caller": "member:2"}, {"route": "POST /others"}, {"text": "key-number-two"}]
)
def test_a_key_belongs_to_its_caller_and_route(now, other):
    do(a_key(), now)

    assert idempotency.find(a_key(**other)) is None
    assert do(a_key(**other), now).status == 201


def test_what_failed_can_be_asked_again_with_its_key(now):
    key = a_key()
    with pytest.raises(ZeroDivisionError), atomic():
        key.claim(now=now)
        1 / 0  # noqa: B018

    assert count(IdempotencyKey) == 0
    assert do(key, now).status == 201


def test_effect_and_answer_stand_or_fall_together(now):
    key = a_key()
    with pytest.raises(ZeroDivisionError), atomic():
        do(key, now, effect="undone")
        1 / 0  # noqa: B018

    assert count(ShopSetting) == count(IdempotencyKey) == 0


def test_twenty_at_once_have_one_effect(app, now):
    key = a_key()

    def ask():
        try:
            return do(key, now, effect="once")
        except Replayed as twin:
            return twin.answer

    outcomes = together(app, [ask] * 20)

    assert {each.body for each in outcomes} == {b'{"done":true}'}
    assert [each.replayed for each in outcomes].count(False) == 1
    assert count(ShopSetting) == 1


def test_an_answer_is_told_no_sooner_than_its_effect_stands(app, now, monkeypatch):
    key, halt = a_key(), Halt("first")
    monkeypatch.setattr(idempotency, "store_many", halt.before(idempotency.store_many))

    with halt.holding(app, lambda: do(key, now)) as finish:
        assert idempotency.find(key) is None
        assert finish().status == 201

    assert count(IdempotencyKey) == 1


def test_a_key_left_running_is_in_progress(now):
    with atomic():
        a_key().claim(now=now)

    with pytest.raises(KeyInProgress):
        idempotency.find(a_key())
    with pytest.raises(KeyInProgress):
        do(a_key(), now)


def test_keys_let_go_can_be_claimed_again_and_others_stay(now):
    dropped, kept, none = (
        a_key("dropped-dropped-dropped"),
        a_key("kept-kept-kept-kept"),
        a_key(None),
    )
    with atomic():
        assert idempotency.claim_many([dropped, kept, none], now=now) == [None] * 3
        idempotency.drop_many([dropped, none])
        idempotency.store_many([(kept, Answer(201, b"{}"))])

    assert rows(IdempotencyKey.key) == [(kept.text,)]
    assert do(dropped, now).status == 201


def test_nothing_claimed_is_nothing_let_go(now):
    do(a_key(), now)

    idempotency.drop_many([])

    assert count(IdempotencyKey) == 1


def test_many_keys_are_answered_in_the_order_asked(now):
    texts = ["zzz-zzz-zzz-zzz-zzz", "aaa-aaa-aaa-aaa-aaa", "mmm-mmm-mmm-mmm-mmm"]
    do(a_key(texts[1]), now, {"n": 1})
    with atomic():
        outcomes = idempotency.claim_many([a_key(text) for text in texts], now=now)

    assert [type(each) for each in outcomes] == [type(None), Replayed, type(None)]


def test_batches_that_share_keys_never_wait_in_a_ring(app, now):
    wanted = [a_key(f"shared-key-number-{n}") for n in range(6)]

    def batch(order):
        with atomic():
            outcomes = idempotency.claim_many(order, now=now)
            mine = [key for key, each in zip(order, outcomes, strict=True) if each is None]
            idempotency.store_many([(key, Answer(201, b"{}")) for key in mine])
            return len(mine)

    works = [lambda order=order: batch(order) for order in (wanted, wanted[::-1]) * 4]

    assert sum(together(app, works)) == 6


# given up


def give_up(key, lease, now):
    return idempotency.give_up(key.caller, key.route, key.text, lease=lease, now=now)


def test_an_attempt_given_up_is_forbidden_and_the_next_is_not(now):
    key = a_key()
    assert give_up(key, "lease-1", now)

    with pytest.raises(KeyInProgress):
        do(replace(key, lease="lease-1"), now, effect="never")
    assert count(ShopSetting) == 0

    assert do(replace(key, lease="lease-2"), now).status == 201
    assert state(key) == "done"


def test_what_was_given_up_has_no_answer_to_tell(now):
    give_up(a_key(), "lease-1", now)

    assert idempotency.find(a_key()) is None
    assert do(a_key(), now).status == 201


def test_what_is_done_can_not_be_given_up(now):
    key = a_key()
    do(key, now)

    assert not give_up(key, "lease-1", now)

    assert idempotency.find(key).status == 201


def test_a_second_attempt_can_be_given_up_too(now):
    key = a_key()

    assert give_up(key, "lease-1", now) and give_up(key, "lease-2", now)

    with pytest.raises(KeyInProgress):
        do(replace(key, lease="lease-2"), now)


# a week later


def test_after_a_week_the_answer_goes_and_the_key_stays(now):
    key = a_key()
    do(key, now)

    assert idempotency.prune(now=now + WEEK) == 0
    assert idempotency.prune(now=now + WEEK + MOMENT) == 1
    assert idempotency.prune(now=now + WEEK + MOMENT) == 0

    with pytest.raises(KeyExpired):
        idempotency.find(key)
    with pytest.raises(KeyExpired):
        do(key, now, effect="never")
    with pytest.raises(KeyReused):
        idempotency.find(a_key(fingerprint="g"))
    assert count(ShopSetting) == 0


def test_a_week_does_not_turn_a_given_up_attempt_into_a_done_one(now):
    key = a_key()
    give_up(key, "lease-1", now)

    assert idempotency.prune(now=now + 2 * WEEK) == 0

    assert do(replace(key, lease="lease-2"), now).status == 201


def test_old_answers_go_in_batches_until_none_is_left(app, now, monkeypatch):
    monkeypatch.setattr(idempotency, "PRUNED_AT_ONCE", 2)
    for number in range(5):
        do(a_key(f"old-key-number-{number:04}"), now - 2 * WEEK)
    do(a_key("young-young-young-young"), now)

    assert jobs.prune() == 5

    assert count(IdempotencyKey, IdempotencyKey.body.is_not(None)) == 1


# sealed


def test_a_sealed_answer_can_be_told_again_but_not_read_in_the_table(now):
    key = a_key(sealed=True)
    secret = "token-that-opens-everything"

    first = do(key, now, {"access_token": secret})

    body = bytes(one(IdempotencyKey.body))
    assert secret.encode() in first.body and secret.encode() not in body
    assert idempotency.find(key).body == first.body


def test_a_seal_outlives_the_turning_of_the_ring_but_not_the_loss_of_its_key(app, now, monkeypatch):
    key = a_key(sealed=True)
    first = do(key, now, {"access_token": "secret"})

    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k3:{'c' * 32},k2:{'b' * 32}")
    assert idempotency.find(key).body == first.body

    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k3:{'c' * 32}")
    with pytest.raises(KeyExpired):
        idempotency.find(key)


def test_a_seal_that_was_tampered_with_opens_nothing(app):
    sealed = keys.seal("purpose", b"message")

    assert keys.unseal("purpose", sealed) == b"message"
    assert keys.unseal("other", sealed) is None
    for place in range(len(sealed)):
        spoilt = bytearray(sealed)
        spoilt[place] ^= 1
        assert keys.unseal("purpose", bytes(spoilt)) is None
    assert keys.unseal("purpose", b"") is None


def test_equal_answers_are_sealed_differently(app):
    assert keys.seal("purpose", b"message") != keys.seal("purpose", b"message")


def test_a_key_without_its_row_claims_it_anew(now):
    key = a_key()
    do(key, now)
    by_hand(sa.delete(IdempotencyKey))

    assert do(key, now).status == 201
