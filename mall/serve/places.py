"""A worker serves so many requests at once, in the order they came.

More threads at work would not serve more: they contend for the interpreter, and whoever came first
may be served last. But a thread that waits for others (mall/aside.py) is not at work, and its place
goes to the next request; so there are more threads than places.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from mall.aside import here


class Places(Executor):
    """Threads of which `at_once` are at work; `most` is how many there may be with those aside."""

    def __init__(self, at_once: int, *, most: int) -> None:
        self._at_once, self._most = at_once, most
        self.name = f"places-{id(self):x}"
        self._lock = threading.Lock()
        self._queue: deque[_Work] = deque()
        self._idle: list[_Server] = []
        self._at_work = self._threads = 0
        self._is_over = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        work = _Work(fn, args, kwargs)
        with self._lock:
            if self._is_over:
                raise RuntimeError("this worker takes no more requests")
            self._queue.append(work)
            self._let_in()
        return work.future

    def leave(self) -> None:
        """Somebody at work steps aside."""
        with self._lock:
            self._at_work -= 1
            self._let_in()

    def come_back(self) -> None:
        """Who had stepped aside goes on at once: it holds what others wait for."""
        with self._lock:
            self._at_work += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let no more in; what waits is still served, unless it is cancelled."""
        with self._lock:
            self._is_over = True
            if cancel_futures:
                for work in self._queue:
                    work.future.cancel()
                self._queue.clear()
            idle, self._idle = self._idle, []
        for server in idle:
            server.go(None)

    def _let_in(self) -> None:
        """Under the lock: give free places to those who wait."""
        while self._queue and self._at_work < self._at_once:
            if self._idle:
                server = self._idle.pop()
            elif self._threads < self._most:
                server = _Server(self)
                server.start()
                self._threads += 1
            else:
                return
            self._at_work += 1
            server.go(self._queue.popleft())

    def next_for(self, server: "_Server") -> "_Work | None":
        """What a thread that has finished does next; with nothing to do it is idle."""
        with self._lock:
            if self._queue and self._at_work <= self._at_once:
                return self._queue.popleft()
            self._at_work -= 1
            if self._is_over:
                server.go(None)
            else:
                self._idle.append(server)
            return None


class _Work:
    """A call and its outcome."""

    def __init__(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.future: Future[Any] = Future()
        self._call = fn, args, kwargs

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        fn, args, kwargs = self._call
        try:
            self.future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            self.future.set_exception(error)


class _Server(threading.Thread):
    """A thread: it serves what it is given, then what waits, then sleeps until it is given more."""

    def __init__(self, places: Places) -> None:
        super().__init__(name=places.name, daemon=True)  # none outlives its worker's end
        self._places = places
        self._woken = threading.Lock()
        self._woken.acquire()
        self._work: _Work | None = None

    def go(self, work: _Work | None) -> None:
        """Wake it: to serve, or with None to end."""
        self._work = work
        self._woken.release()

    def run(self) -> None:
        here.place = self._places
        while True:
            self._woken.acquire()
            work = self._work
            if work is None:
                return
            while work is not None:
                work.run()
                work = self._places.next_for(self)
