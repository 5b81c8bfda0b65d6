"""The transaction: all or nothing, and guards hear of its end once it is known."""

from contextlib import ExitStack

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from mall.atomic import Contended, atomic, read
from mall.errors import NotFound, OutcomeUnknown, Unavailable
from models import ShopSetting, Store, db
from models.base import insert
from tests.mall.books import count
from tests.mall.together import Halt
from tests.servers import wait_until


class Driver(Exception):
    def __init__(self, text="", sqlstate=None):
        super().__init__(text)
        self.sqlstate = sqlstate


class Heard:
    def __init__(self):
        self.said = []

    def __call__(self, word):
        return lambda: self.said.append(word)


@pytest.fixture
def heard():
    return Heard()


def write(transaction, name="name"):
    transaction.execute(insert(ShopSetting).values(name=name, value=1))


def test_what_is_written_stands_after_the_end_and_then_guards_act(app, heard):
    with atomic() as transaction:
        transaction.after_commit(heard("stands")).after_refusal(heard("refused"))
        write(transaction)
        assert heard.said == []

    assert heard.said == ["stands"] and count(ShopSetting) == 1


def test_what_was_refused_is_undone_and_then_guards_act(app, heard):
    with pytest.raises(NotFound), atomic() as transaction:
        transaction.after_commit(heard("stands")).after_refusal(heard("refused"))
        write(transaction)
        raise NotFound()

    assert heard.said == ["refused"] and count(ShopSetting) == 0


def test_one_inside_another_joins_it_and_stands_or_falls_with_it(app, heard):
    with pytest.raises(NotFound), atomic() as outer:
        with atomic() as inner:
            assert inner is outer
            inner.after_commit(heard("stands"))
            write(inner)
        raise NotFound()

    assert heard.said == [] and count(ShopSetting) == 0


def test_what_the_orm_has_pending_is_written_with_it(app):
    with atomic():
        db.session.add(ShopSetting(name="orm", value=1))

    assert count(ShopSetting) == 1


def test_a_change_made_outside_is_a_bug(app):
    db.session.add(ShopSetting(name="outside", value=1))

    with pytest.raises(AssertionError), atomic():
        pass


def fail_commit(monkeypatch, error):
    def commit():
        raise error

    monkeypatch.setattr(db.session, "commit", commit)


def test_where_commits_answer_is_lost_nobody_is_told_anything(app, heard, monkeypatch):
    fail_commit(monkeypatch, OperationalError("COMMIT", None, Exception("gone")))

    with pytest.raises(OutcomeUnknown), atomic() as transaction:
        transaction.after_commit(heard("stands")).after_refusal(heard("refused"))
        write(transaction)

    assert heard.said == []


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "25P03"])
def test_where_the_server_says_at_commit_that_it_undid_all_it_is_a_refusal(
    app, heard, monkeypatch, sqlstate
):
    fail_commit(monkeypatch, OperationalError("COMMIT", None, Driver(sqlstate=sqlstate)))

    with pytest.raises(Unavailable) as refusal, atomic() as transaction:
        transaction.after_commit(heard("stands")).after_refusal(heard("refused"))
        write(transaction)

    assert heard.said == ["refused"] and not isinstance(refusal.value, OutcomeUnknown)
    assert count(ShopSetting) == 0


@pytest.mark.parametrize("sqlstate", ["57P01", "40003", "08006", None])
def test_where_the_server_goes_away_at_commit_nobody_knows(app, heard, monkeypatch, sqlstate):
    fail_commit(monkeypatch, OperationalError("COMMIT", None, Driver(sqlstate=sqlstate)))

    with pytest.raises(OutcomeUnknown), atomic() as transaction:
        transaction.after_commit(heard("stands")).after_refusal(heard("refused"))

    assert heard.said == []


@pytest.fixture
def on_postgresql(app):
    if db.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has no connection to lose and no limits to set")


def end_this_connection():
    """The server ends the session of the transaction that is open here, as a restart does."""
    backend = db.session.scalar(sa.text("SELECT pg_backend_pid()"))
    with db.engine.connect() as other:
        other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})


@pytest.mark.parametrize("then", ["ask", "refuse"])
def test_a_connection_lost_before_commit_is_a_refusal(on_postgresql, heard, then):
    with pytest.raises(Unavailable if then == "ask" else NotFound), atomic() as transaction:
        transaction.after_refusal(heard("refused"))
        write(transaction)
        end_this_connection()
        if then == "refuse":
            raise NotFound()
        write(transaction, "second")

    assert heard.said == ["refused"] and count(ShopSetting) == 0


def test_a_connection_lost_between_two_transactions_is_replaced(on_postgresql, heard):
    end_this_connection()

    with atomic() as transaction:
        write(transaction)

    assert count(ShopSetting) == 1


def test_a_transaction_in_a_hurry_gives_up_and_the_next_has_time_again(on_postgresql, heard):
    with pytest.raises(Unavailable), atomic() as transaction:
        transaction.after_refusal(heard("refused"))
        transaction.hurry(statement_ms=30, lock_ms=20, idle_ms=1000)
        transaction.execute(sa.select(sa.func.pg_sleep(30)))

    assert heard.said == ["refused"]
    with atomic() as transaction:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        shown = transaction.execute(sa.select(*[sa.func.current_setting(name) for name in names]))
        assert tuple(shown.one()) == ("0", "2s", "30s")


def test_a_transaction_that_idles_is_ended_and_known_to_be_undone(on_postgresql, heard):
    with pytest.raises(Unavailable) as refusal, atomic() as transaction:
        transaction.after_refusal(heard("refused"))
        transaction.hurry(statement_ms=1000, lock_ms=900, idle_ms=20)
        write(transaction)
        backend = transaction.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        wait_until(lambda: count_backends(backend) == 0, what="the end of the session")

    assert not isinstance(refusal.value, OutcomeUnknown)
    assert heard.said == ["refused"] and count(ShopSetting) == 0


def count_backends(pid):
    query = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    with db.engine.connect() as other:
        return other.scalar(query, {"pid": pid})


def test_a_rule_that_refuses_at_commit_is_a_refusal(app, heard, monkeypatch):
    fail_commit(monkeypatch, IntegrityError("COMMIT", None, Exception("deferred")))

    with pytest.raises(IntegrityError), atomic() as transaction:
        transaction.after_commit(heard("stands")).after_refusal(heard("refused"))
        write(transaction)

    assert heard.said == ["refused"]


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (OperationalError("", None, Driver(sqlstate="55P03")), Unavailable),
        (OperationalError("", None, Driver(sqlstate="40P01")), Contended),
        (OperationalError("", None, Driver(sqlstate="40001")), Contended),
        (OperationalError("", None, Driver(sqlstate="57P01")), Unavailable),
        (OperationalError("", None, Driver(sqlstate="57014")), Unavailable),
        (OperationalError("", None, Driver(sqlstate="25P03")), Unavailable),
        (OperationalError("", None, Driver("database is locked")), Unavailable),
        (OperationalError("", None, Driver(), connection_invalidated=True), Unavailable),
        (OperationalError("", None, Driver("no such table")), OperationalError),
        (IntegrityError("", None, Driver("unique")), IntegrityError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
def test_what_passes_by_itself_is_unavailable_and_a_bug_stays_a_bug(app, heard, error, means):
    with pytest.raises(means) as raised, atomic() as transaction:
        transaction.after_refusal(heard("refused"))
        raise error

    assert type(raised.value) is means and heard.said == ["refused"]


def test_a_lock_that_another_holds_too_long_is_unavailable(app, stores, monkeypatch):
    """Really waited for, with the patience cut short."""
    halt = Halt("holder")

    def hold():
        with atomic() as transaction:
            transaction.execute(sa.update(Store).values(address="held"))
            halt.stop_here()

    def want():
        with atomic() as transaction:
            transaction.execute(sa.update(Store).values(address="wanted"))

    def impatient(connection, _record, _proxy):
        words = "PRAGMA busy_timeout=50" if sqlite else "SET lock_timeout = 50"
        cursor = connection.cursor()
        cursor.execute(words)
        if not sqlite:
            connection.commit()
        cursor.close()

    def patient(connection, _record):
        if sqlite:
            connection.execute("PRAGMA busy_timeout=8000")
        else:
            connection.execute("SET lock_timeout = 2000")
            connection.commit()

    sqlite = db.engine.dialect.name == "sqlite"
    with halt.holding(app, hold) as finish:
        sa.event.listen(db.engine, "checkout", impatient)
        sa.event.listen(db.engine, "checkin", patient)
        try:
            db.session.remove()
            with pytest.raises(Unavailable):
                want()
            db.session.remove()
        finally:
            sa.event.remove(db.engine, "checkout", impatient)
            sa.event.remove(db.engine, "checkin", patient)
        finish()

    want()
    assert count(Store, Store.address == "wanted") == 2


# reading outside and inside


def test_reading_inside_a_transaction_sees_what_it_has_written(app):
    with atomic() as transaction:
        write(transaction)
        assert len(read(sa.select(ShopSetting))) == 1


def test_reading_sees_each_time_what_stands_then(app):
    query = sa.select(ShopSetting.name)
    assert read(query) == []

    with db.engine.connect().execution_options(writes=True) as other, other.begin():
        other.execute(insert(ShopSetting).values(name="other", value=1))

    assert read(query) == [("other",)]


def test_idle_connections_that_the_server_closed_are_not_handed_out(on_postgresql):
    """A pool full of them is what a restart leaves; the next request must not be the one to find out."""
    backend = sa.text("SELECT pg_backend_pid()")
    with ExitStack() as at_once:
        pool = [at_once.enter_context(db.engine.connect()) for _ in range(4)]
        pids = [connection.scalar(backend) for connection in pool]
    with sa.create_engine(db.engine.url, poolclass=sa.NullPool).connect() as other:
        for pid in pids:
            other.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

    assert read(backend)[0][0] not in pids
    with atomic() as transaction:
        write(transaction)
    assert count(ShopSetting) == 1
