"""The audit log: a chain that only grows, and that shows whatever was done to it past the shop."""

import contextlib

import pytest
import sqlalchemy as sa

from mall import audit, clock
from mall.atomic import atomic
from mall.audit import Act
from models import AuditEntry, AuditHead, db
from tests.mall.books import count, one, rows
from tests.mall.together import together


@pytest.fixture
def now(app):
    return clock.now()


def act(number=1, **more):
    fields = {"actor": "staff:1", "action": "reward.change", "subject_kind": "reward"}
    return Act(**{**fields, "subject_id": str(number), **more})


@pytest.fixture
def noted(now):
    """Five entries."""
    for number in range(1, 6):
        before, after = {"price_points": number}, {"price_points": number + 1}
        audit.note(act(number, before=before, after=after), now=now)


def test_an_entry_says_who_did_what_and_what_it_was_before_and_after(now):
    changed = act(7, before={"title": "杯子"}, after={"title": "碗"}, address="203.0.113.9")

    audit.note(changed, now=now)

    ((entry,),) = rows(AuditEntry)
    shown = audit.view(entry)
    assert shown == {
        "id": 1,
        "at": clock.rfc3339(now),
        **{"actor": "staff:1", "address": "203.0.113.9", "action": "reward.change"},
        **{"subject_kind": "reward", "subject_id": "7"},
        **{"before": {"title": "杯子"}, "after": {"title": "碗"}},
        "tag": entry.tag,
    }


def test_a_chain_that_nobody_touched_holds(noted):
    chain = audit.verify()

    assert (chain.entries, chain.broken_at) == (5, None)
    assert chain.tag == one(AuditEntry.tag, AuditEntry.seq == 5) == one(AuditHead.tag)


def test_a_chain_without_entries_holds(app):
    assert audit.verify() == audit.Chain(0, audit.FIRST)


TOUCHES = {
    "a figure": ("UPDATE audit_entries SET after = '{\"price_points\": 9}' WHERE seq = 3", 3),
    "who": ("UPDATE audit_entries SET actor = 'staff:2' WHERE seq = 2", 2),
    "when": ("UPDATE audit_entries SET at = '2020-01-01 00:00:00+00:00' WHERE seq = 5", 5),
    "one dropped": ("DELETE FROM audit_entries WHERE seq = 4", 4),
    "the first dropped": ("DELETE FROM audit_entries WHERE seq = 1", 1),
    "the end dropped": ("DELETE FROM audit_entries WHERE seq = 5", 5),
    "all dropped": ("DELETE FROM audit_entries", 1),
    "the end moved": ("UPDATE audit_head SET tag = 'x'", 5),
}


@pytest.mark.parametrize("name", TOUCHES)
def test_whatever_is_done_past_the_shop_shows_where(noted, name):
    statement, broken_at = TOUCHES[name]
    with touched(statement):
        assert audit.verify().broken_at == broken_at


@contextlib.contextmanager
def touched(*statements):
    """The chain as it would be after some statements; undone at the end."""
    db.session.rollback()
    with atomic_undone(), past_triggers() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        yield


@contextlib.contextmanager
def atomic_undone():
    class Undo(Exception):
        pass

    with contextlib.suppress(Undo), atomic():
        yield
        raise Undo


@contextlib.contextmanager
def past_triggers():
    with atomic() as transaction:
        if db.engine.dialect.name == "sqlite":
            for verb in ("update", "delete", "replace"):
                transaction.execute(sa.text(f"DROP TRIGGER audit_entries_no_{verb}"))
        else:
            transaction.execute(sa.text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        yield transaction


def test_an_end_that_was_cut_off_shows_against_one_kept_elsewhere(noted):
    kept = (5, one(AuditEntry.tag, AuditEntry.seq == 5))
    fourth = one(AuditEntry.tag, AuditEntry.seq == 4)
    cut = "DELETE FROM audit_entries WHERE seq = 5"
    with touched(cut, f"UPDATE audit_head SET seq = 4, tag = '{fourth}'"):
        assert audit.verify().broken_at is None and not audit.holds(*kept)

    assert audit.holds(*kept) and audit.holds(4, fourth) and not audit.holds(4, kept[1])


def test_those_who_act_at_once_make_one_chain(app, now):
    together(app, [lambda n=n: audit.note(act(n), now=now) for n in range(12)])

    assert audit.verify().broken_at is None and count(AuditEntry) == 12
    assert rows(AuditEntry.seq) == [(n,) for n in range(1, 13)]


def test_what_did_not_happen_is_not_noted(app, now):
    with pytest.raises(ZeroDivisionError), atomic():
        audit.note(act(), now=now)
        1 / 0  # noqa: B018

    assert count(AuditEntry) == 0 and audit.verify().broken_at is None


def test_an_entry_written_under_an_older_key_still_holds(app, noted, monkeypatch, now):
    ring = app.config["SECRET_KEYS"]
    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k9:{'n' * 32},{ring}")

    audit.note(act(6), now=now)

    assert audit.verify().broken_at is None
    monkeypatch.setitem(app.config, "SECRET_KEYS", f"k9:{'n' * 32}")
    assert audit.verify().broken_at == 1


def test_secrets_are_left_out_and_of_phone_numbers_only_the_ends_are_kept(now):
    person = {"name": "李", "password": "hush", "phone": "13800000001", "staff": {"otp": "123456"}}

    audit.note(act(after={**person, "phones": [], "contact_phone": "110"}), now=now)

    assert one(AuditEntry.after) == {
        **{"name": "李", "phone": "138****0001", "staff": {}},
        **{"phones": [], "contact_phone": "****"},
    }
