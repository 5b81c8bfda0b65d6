"""SQLite's writers wait in line for the one file, whichever process they are of."""

import fcntl
import os
import signal
import subprocess
import sys
import threading

import pytest

from mall import atomic as module
from mall.atomic import atomic
from mall.errors import Unavailable
from models import db
from models.turns import Turns, turn_of
from tests.copies import ROOT
from tests.servers import wait_until

AT_ONCE_S = 0.0
PATIENCE_S = 20.0

STRANGER = """
import sys
from models.turns import Turns
turns = Turns(sys.argv[1])
for line in sys.stdin:
    if line.strip() == "take":
        turns.take(within_s=20)
        print("mine", flush=True)
    else:
        turns.leave()
"""

FAMILY = """
import os, sys, threading
from models.turns import Turns
turns = Turns(sys.argv[1])
assert turns.take(within_s=0)
child = os.fork()
if child == 0:
    turns._ours = threading.Lock()  # as if this thread had not been the one that has the turn
    os._exit(turns.take(within_s=0))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


class Stranger:
    """A writer of another process."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", STRANGER, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wants(self):
        self.process.stdin.write("take\n")
        self.process.stdin.flush()

    def has_it(self):
        assert self.process.stdout.readline() == "mine\n"

    def leaves(self):
        self.process.stdin.write("leave\n")
        self.process.stdin.flush()

    def dies(self):
        os.kill(self.process.pid, signal.SIGKILL)

    def end(self):
        if self.process.poll() is None:
            self.dies()
        self.process.wait(PATIENCE_S)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mall.db"


@pytest.fixture
def turns(path):
    return Turns(str(path))


@pytest.fixture
def stranger(path):
    made = Stranger(path)
    yield made
    made.end()


def in_line(path, name):
    """Whether somebody holds one of the two files."""
    probe = Turns(str(path))
    probe._open()
    file = {"next": probe._next, "now": probe._now}[name]
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def test_nobody_else_has_a_turn_meanwhile(turns, path, stranger):
    stranger.wants()
    stranger.has_it()

    assert not turns.take(within_s=AT_ONCE_S)
    assert not Turns(str(path)).take(within_s=AT_ONCE_S)

    stranger.leaves()
    assert turns.take(within_s=PATIENCE_S)
    turns.leave()


def test_a_thread_waits_for_a_thread_of_the_same_process(turns):
    assert turns.take(within_s=AT_ONCE_S)
    got = []
    thread = threading.Thread(target=lambda: got.append(turns.take(within_s=PATIENCE_S)))
    thread.start()

    assert not got
    turns.leave()
    thread.join(PATIENCE_S)

    assert got == [True]
    turns.leave()


def test_who_waits_comes_before_who_has_just_written(turns, path, stranger):
    """However soon the last writer comes back."""
    assert turns.take(within_s=AT_ONCE_S)
    stranger.wants()
    wait_until(lambda: in_line(path, "next"))

    turns.leave()
    assert not turns.take(within_s=AT_ONCE_S)

    stranger.has_it()
    stranger.leaves()
    assert turns.take(within_s=PATIENCE_S)
    turns.leave()


def test_a_turn_ends_with_the_process_that_had_it(turns, stranger):
    stranger.wants()
    stranger.has_it()
    stranger.dies()

    assert turns.take(within_s=PATIENCE_S)
    turns.leave()


def test_who_gave_up_waiting_holds_nobody_up(turns, path, stranger):
    stranger.wants()
    stranger.has_it()
    assert not turns.take(within_s=AT_ONCE_S)

    assert not in_line(path, "next")
    stranger.leaves()
    assert turns.take(within_s=PATIENCE_S)
    turns.leave()


def test_a_child_has_turns_of_its_own(path):
    """Not its parent's, whose files it got with the fork."""
    process = subprocess.run([sys.executable, "-c", FAMILY, str(path)], cwd=ROOT, check=False)

    assert process.returncode == 0


def test_a_transaction_whose_turn_never_comes_has_not_begun(app, monkeypatch):
    if db.engine.dialect.name != "sqlite":
        with turn_of(db.engine, within_s=AT_ONCE_S) as came, turn_of(db.engine, within_s=0) as too:
            assert came and too
        return
    monkeypatch.setattr(module, "TURN_S", AT_ONCE_S)
    with turn_of(db.engine, within_s=PATIENCE_S):
        with pytest.raises(Unavailable), atomic():
            raise AssertionError("it began")

    with atomic():
        pass


def test_a_turn_is_over_before_anybody_is_told(app):
    """What follows a commit or a refusal may ask Redis, and wait for it."""

    def told():
        with turn_of(db.engine, within_s=AT_ONCE_S) as came:
            seen.append(came)

    seen = []
    with atomic() as transaction:
        transaction.after_commit(told)
    with pytest.raises(ZeroDivisionError), atomic() as transaction:
        transaction.after_refusal(told)
        raise ZeroDivisionError

    assert seen == [True, True]
