"""A proxy before PostgreSQL that can cut a connection exactly at the COMMIT of a redemption."""

import asyncio
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from tests.servers import wait_until

READ_BYTES = 65_536
HEAD_BYTES = 5  # a message's type and its length
MARK = b"INSERT INTO redemptions"


class Cut(Enum):
    """Where a connection is cut: the first loses the transaction, the others only the answer."""

    BEFORE = "before COMMIT is passed on"
    AT_ONCE = "as soon as COMMIT is passed on"
    AFTER = "after COMMIT was answered, before the answer is passed back"


@dataclass
class Link:
    """One connection of the shop's, and what its open transaction has said so far."""

    to_shop: asyncio.StreamWriter
    to_database: asyncio.StreamWriter
    prepared: dict[bytes, bool] = field(default_factory=dict)  # by name: does it carry the mark
    marked: bool = False
    mute: bool = False  # the database's next answer ends the connection instead of passing

    def cut(self) -> None:
        for end in (self.to_shop, self.to_database):
            end.transport.abort()


class Proxy:
    """Passes everything on, but asks `choose` at each COMMIT of a redemption whether to cut it."""

    def __init__(self, port: int, database_port: int) -> None:
        self.port, self.database_port = port, database_port
        self.choose: Callable[[], Cut | None] = lambda: None
        self.cuts: list[Cut] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.ready = False

    def start(self) -> None:
        self.thread.start()
        wait_until(lambda: self.ready, what="the proxy's start")

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        opening = asyncio.start_server(self._serve, "127.0.0.1", self.port)
        server = self.loop.run_until_complete(opening)
        self.ready = True
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, asks = await asyncio.open_connection("127.0.0.1", self.database_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, asks)
        both = [self._pass_on(reader, link), self._pass_back(answers, link)]
        try:
            await asyncio.gather(*both)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            link.cut()

    async def _pass_on(self, reader: asyncio.StreamReader, link: Link) -> None:
        """What the shop asks, message by message; the first has no type."""
        length = await reader.readexactly(4)
        rest = await reader.readexactly(struct.unpack("!I", length)[0] - 4)
        link.to_database.write(length + rest)
        while True:
            head = await reader.readexactly(HEAD_BYTES)
            body = await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            self._listen(link, head[:1], body)
            if link.marked and _is_commit(head[:1], body):
                link.marked = False
                cut = self.choose()
                if cut is not None:
                    self.cuts.append(cut)
                if cut is Cut.BEFORE:
                    raise ConnectionAbortedError
                link.mute = cut is Cut.AFTER
                link.to_database.write(head + body)
                await link.to_database.drain()
                if cut is Cut.AT_ONCE:
                    raise ConnectionAbortedError
                continue
            link.to_database.write(head + body)
            await link.to_database.drain()

    def _listen(self, link: Link, kind: bytes, body: bytes) -> None:
        """Notice whether this transaction redeems: by its text, or by a statement prepared before."""
        if kind == b"P":
            name, _, text = body.partition(b"\0")
            link.prepared[name] = MARK in text
        elif kind == b"B":
            statement = body.split(b"\0", 2)[1]
            link.marked |= link.prepared.get(statement, False)
        elif kind == b"Q":
            link.marked = (link.marked or MARK in body) and not body.startswith(b"ROLLBACK")

    async def _pass_back(self, answers: asyncio.StreamReader, link: Link) -> None:
        while data := await answers.read(READ_BYTES):
            if link.mute:
                raise ConnectionAbortedError
            link.to_shop.write(data)
            await link.to_shop.drain()
        raise ConnectionAbortedError


def _is_commit(kind: bytes, body: bytes) -> bool:
    """COMMIT as a plain query, or as one that is parsed first."""
    if kind == b"P":
        body = body.partition(b"\0")[2]
    return kind in b"QP" and body.upper().startswith(b"COMMIT")
