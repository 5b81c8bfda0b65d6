"""The web server's connections: shared evenly, kept, and let go at the end."""

import http.client
import os
import signal
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.copies import Copy, assert_nothing_left, until

pytestmark = [
    pytest.mark.xdist_group("serve"),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
]

ESTABLISHED = "01"


def connections_of_each_worker(copy: Copy) -> Counter[int]:
    """How many of the shop's connections each web worker holds."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {
        row[9] for row in rows if row[1].endswith(f":{copy.port:04X}") and row[3] == ESTABLISHED
    }
    counted: Counter[int] = Counter()
    for pid in copy.pids("gunicorn"):
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists()]
        counted[pid] = sum(link[8:-1] in ours for link in links if link.startswith("socket:"))
    return counted


def keep(copy: Copy, at_end: ExitStack, count: int) -> list[http.client.HTTPConnection]:
    """Open connections one after the other; each has asked once and stays."""
    kept = []
    for _ in range(count):
        connection = http.client.HTTPConnection("127.0.0.1", copy.port, timeout=10)
        at_end.enter_context(closing(connection))
        connection.request("GET", "/livez")
        assert connection.getresponse().read()
        kept.append(connection)
    return kept


def serve_both(copy: Copy) -> bool:
    """Whether both workers take connections; the first to be ready opens the shop."""
    with ExitStack() as at_end:
        keep(copy, at_end, 8)
        return sum(count > 0 for count in connections_of_each_worker(copy).values()) == 2


def test_kept_connections_are_shared_evenly_by_the_web_workers(running):
    until(lambda: serve_both(running), 20.0, "the second worker")
    with ExitStack() as at_end:
        kept = keep(running, at_end, 30)
        counted = connections_of_each_worker(running)

        assert sum(counted.values()) == 30 and max(counted.values()) <= 18, counted
        for connection in kept:
            connection.request("GET", "/livez")
            assert connection.getresponse().read()


def test_a_worker_that_is_gone_holds_nobody_up(running):
    with ExitStack() as at_end:
        keep(running, at_end, 12)
        worker, _ = connections_of_each_worker(running).most_common(1)[0]
        os.kill(worker, signal.SIGKILL)

        keep(running, at_end, 12)
        until(lambda: worker not in running.pids("gunicorn"), 10.0, "the end of the killed worker")


def test_an_idle_connection_delays_no_end_and_a_request_under_way_is_answered(a_copy):
    copy = a_copy()
    copy.start()
    idle, asking = (http.client.HTTPConnection("127.0.0.1", copy.port, timeout=5) for _ in "12")
    with closing(idle), closing(asking):
        for connection in (idle, asking):
            connection.request("GET", "/livez")
            connection.getresponse().read()
        body = b'{"code": "sandbox-late"}'
        asking.putrequest("POST", "/api/v1/auth/wechat")
        for header in (("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            asking.putheader(*header)
        asking.endheaders()
        asking.send(body[:9])

        os.kill(copy.pid, signal.SIGTERM)
        asked_at = time.monotonic()
        assert idle.sock is not None and idle.sock.recv(1) == b""
        closed_after_s = time.monotonic() - asked_at
        asking.send(body[9:])

        assert asking.getresponse().status == 200
        assert closed_after_s < 1.9, "gunicorn itself would wait for two seconds"
    assert copy.code_when_ended() == 0
    assert_nothing_left(copy)
