"""Threads that start at the same moment, each as a request of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from flask import Flask

PATIENCE_S = 60


def together(app: Flask, works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each of some works answers or raises, in order, when all of them start at once."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        with app.app_context():
            start.wait(PATIENCE_S)
            try:
                return work()
            except Exception as error:
                return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


class Halt:
    """A place where one thread stops until it is told to go on; others pass."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reached, self.go_on = threading.Event(), threading.Event()

    def stop_here(self) -> None:
        if threading.current_thread().name == self.name:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_S), f"{self.name} was never told to go on"

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with the stop before it."""

        def stopped(*args: Any, **kwargs: Any) -> Any:
            self.stop_here()
            return function(*args, **kwargs)

        return stopped

    @contextmanager
    def holding(self, app: Flask, work: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
        """A work that stands here; calling what is yielded lets it go on and tells its outcome."""
        outcome = []

        def run() -> None:
            with app.app_context():
                try:
                    outcome.append(work())
                except Exception as error:
                    outcome.append(error)

        def finish() -> Any:
            self.go_on.set()
            thread.join(PATIENCE_S)
            return outcome[0]

        thread = threading.Thread(target=run, name=self.name)
        thread.start()
        try:
            assert self.reached.wait(PATIENCE_S), f"{self.name} never came here"
            yield finish
        finally:
            self.go_on.set()
            thread.join(PATIENCE_S)
