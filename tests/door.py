"""A TCP proxy whose door can be shut: what stands behind it is then cut off from who comes this way.

Small and our own: no kept library on PyPI does this (toxiproxy is a server in Go, with clients there).
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from processes import free_port

CHUNK_BYTES = 1 << 16


class Door:
    """Passes what comes to `port` on to another port of this machine, for as long as the block lasts."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._refuses, self._delay_s = False, 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Door":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def open(self) -> None:
        """Let everything through, what was held back too."""
        self._set(refuses=False, delay_s=0.0, open=True)

    def refuse(self) -> None:
        """Reset all connections, and all that are made."""
        self._set(refuses=True, delay_s=0.0, open=True)

    def hold(self) -> None:
        """Let nothing through, and say nothing: connections stay as they are."""
        self._set(refuses=False, delay_s=0.0, open=False)

    def delay(self, seconds: float) -> None:
        """Let each piece through so much later."""
        self._set(refuses=False, delay_s=seconds, open=True)

    def _set(self, refuses: bool, delay_s: float, open: bool) -> None:
        def change() -> None:
            self._refuses, self._delay_s = refuses, delay_s
            (self._open.set if open else self._open.clear)()
            if refuses:
                for writer in self._writers:
                    writer.transport.abort()

        self._loop.call_soon_threadsafe(change)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open.set()
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener))
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._kept(writer), suppress(OSError):
            if self._refuses:
                return
            back, forth = await asyncio.open_connection("127.0.0.1", self._to)
            with self._kept(forth):
                await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Pass on until either end leaves; then both go."""
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                await asyncio.sleep(self._delay_s)
                await self._open.wait()
                target.write(data)
                await target.drain()
        with suppress(OSError, RuntimeError):
            target.write_eof()

    @contextmanager
    def _kept(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
