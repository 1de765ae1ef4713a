"""The ClickHouse engine inside this process: a handle per request, sessions, results through a pipe."""

import fcntl
import json
import logging
import os
import re
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from local import clickhouse_definitions as definitions
from local.clickhouse_sql import EngineError, Insert, Statement, native_block, quote, quote_name, read
from pixeltally.errors import Refused

log = logging.getLogger("clickhouse")

CONFIG = Path(__file__).with_name("clickhouse.xml")
CHUNK_BYTES = 1 << 20
#: Where a request that names no database goes. (The engine's own, `default`, shows files as tables.)
DATABASE = "pixeltally"

#: Memory that one query may take: a third of the machine's, 4 GB at least.
QUERY_BYTES = max(4_000_000_000, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3)


class Output:
    """Result of a statement that has one: iterate over its bytes, then `summary` is known.

    The engine writes into a pipe, so that every format streams, in constant memory. Leaving the iteration
    early kills the query.
    """

    def __init__(self, engine: "Engine", handle: Any, statement: Statement, format: str) -> None:
        self.summary: dict[str, str] = {}
        self._engine, self._handle, self._statement, self._format = engine, handle, statement, format
        self._error: Exception | None = None

    def chunks(self, gone: Callable[[], bool]) -> Iterator[bytes]:
        """The bytes, some at a time; stops early once `gone()`, which is asked every second of silence."""
        reader, writer = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, CHUNK_BYTES)
        mark = f"/* {uuid.uuid4()} */"
        query = threading.Thread(target=self._query, args=(mark, writer), daemon=True)
        query.start()
        ready = select.poll()
        ready.register(reader, select.POLLIN | select.POLLHUP)
        size = 0
        try:
            while True:
                while not ready.poll(1000):
                    if gone():
                        return
                chunk = os.read(reader, CHUNK_BYTES)
                if not chunk:
                    break
                size += len(chunk)
                yield chunk
        finally:
            os.close(reader)
            if query.is_alive():
                # By its mark: the pipe's number may be another query's by now.
                self._engine.kill(f"endsWith(query, {quote(mark)})")
            query.join()
        if self._error:
            raise self._error
        if not size and self._format == "Native":
            yield self._columns()

    def _query(self, mark: str, writer: int) -> None:
        try:
            text = self._statement.into(f"/dev/fd/{writer}", self._format)
            result = self._handle.query(f"{text} {mark}", "Null")
            self.summary = summary(read=result)
        except Exception as error:
            self._error = error
        finally:
            os.close(writer)

    def _columns(self) -> bytes:
        # The embedded engine writes no block for an empty result; clients need its columns.
        described = self._handle.query(f"DESCRIBE ({self._statement.text})", "JSONCompactEachRow")
        rows = (json.loads(line) for line in described.bytes().splitlines())
        return native_block(((row[0], row[1], b"") for row in rows), 0)


class Engine:
    """The one engine of this process, on the data directory `path`."""

    def __init__(self, path: Path) -> None:
        """Open it; raise Refused where the directory can't be written or is another process's."""
        _check(path)
        for name in definitions.mend(path):
            log.warning("%s was not whole: what it defines is as it was before", name)
        # Before the engine is loaded: its time zone is UTC, whatever the machine's is.
        os.environ["TZ"] = "UTC"
        os.environ["CLICKHOUSE_QUERY_BYTES"] = str(QUERY_BYTES)  # for the configuration
        from chdb.state.sqlitelike import connect

        self.path = path
        self._address = f"{path}?config-file={CONFIG}"
        self._connect = connect
        try:
            self._kept = connect(self._address)
        except RuntimeError as error:
            raise Refused(f"ClickHouse can't open {path}: {error}.") from None
        self._sessions: dict[str, _Session] = {}
        self._guard = threading.Lock()
        self.version: str = self._ask("SELECT version()")
        self.statement = lru_cache(1024)(self._statement)
        self._kept.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")

    def close(self) -> None:
        """End all sessions and close the data directory."""
        for session in self._sessions.values():
            session.handle.close()
        self._kept.close()

    def kill(self, condition: str = "query NOT LIKE 'KILL%'") -> None:
        """Stop the running queries that `condition`, over system.processes, is true of."""
        with closing(self._connect(self._address)) as handle:
            handle.query(f"KILL QUERY WHERE {condition} ASYNC", "Null")

    def stop_merges(self) -> None:
        """Stop merges, those that run included, and keep the parts that merged ones stand for."""
        with closing(self._connect(self._address)) as handle:
            for what in ("MERGES", "CLEANUP"):
                handle.query(f"SYSTEM STOP {what}", "Null")

    def _ask(self, question: str) -> str:
        with closing(self._connect(self._address)) as handle:
            return str(handle.query(question, "TSVRaw").bytes().decode()[:-1])

    def _statement(self, text: str) -> Statement:
        """The one statement that `text` is; raise EngineError where it is none, several or not served."""
        try:
            return read(self._ask(f"SELECT formatQuerySingleLine({quote(text)})").rstrip())
        except RuntimeError as error:
            message = re.sub(r": In scope SELECT formatQuery.*\(", " (", str(error), flags=re.S)
            raise EngineError(message) from None

    @contextmanager
    def handle(
        self,
        statement: Statement | None,
        database: str,
        settings: Mapping[str, str],
        session: str,
        timeout_s: int,
    ) -> Iterator[Any]:
        """A handle with these settings for one statement (None: an insert), in the session of this name."""
        found = self._session(session, timeout_s, bool(statement and statement.needs_session))
        if found is None:
            with closing(self._connect(self._address)) as handle:
                _apply(handle, database or DATABASE, settings)
                yield handle
            return
        if not found.lock.acquire(blocking=False):
            raise EngineError("Code: 373. DB::Exception: Session is locked by a concurrent client. (SESSION_IS_LOCKED)")
        try:
            if statement and statement.sets_session:
                yield found.handle
            elif "readonly" in settings:
                # readonly can't be unset, so a copy of the session takes it (without temporary tables).
                with closing(self._connect(self._address)) as handle:
                    _apply(handle, *_state(found.handle, "changed AND name NOT IN ('database', 'readonly')"))
                    _apply(handle, database, settings)
                    yield handle
            else:
                before = _state(found.handle, f"name IN ({', '.join(map(quote, ('', *settings)))})")
                try:
                    _apply(found.handle, database, settings)
                    yield found.handle
                finally:
                    _apply(found.handle, *before)
        finally:
            found.expires = time.monotonic() + timeout_s
            found.lock.release()

    def _session(self, name: str, timeout_s: int, needed: bool) -> "_Session | None":
        """The session of this name. Clients name one with every request: it is made when first needed."""
        with self._guard:
            now = time.monotonic()
            for old in [key for key, session in self._sessions.items() if session.expires < now]:
                if self._sessions[old].lock.acquire(blocking=False):
                    self._sessions.pop(old).handle.close()
            if name and needed and name not in self._sessions:
                self._sessions[name] = _Session(self._connect(self._address), now + timeout_s)
                _apply(self._sessions[name].handle, DATABASE, {})
            return self._sessions.get(name)


class _Session:
    def __init__(self, handle: Any, expires: float) -> None:
        self.handle, self.expires, self.lock = handle, expires, threading.Lock()


def insert(handle: Any, statement: Insert, data: Iterable[bytes]) -> dict[str, str]:
    """Run an INSERT with its data; the rows are on the disk when the summary is returned.

    Through a pipe, so that data of any size take constant memory; where the data end, it is committed, so all of them
    must be there already, as waitress has a request's body. The engine's own way to stream an insert loses errors of
    writing: of a full disk it says that all is well.
    """
    reader, writer = os.pipe()
    feeder = threading.Thread(target=_feed, args=(writer, data))
    feeder.start()
    try:
        done = handle.query(statement.of(f"/dev/fd/{reader}"))
    finally:
        os.close(reader)
        feeder.join()
    return {"written_rows": str(done.rows_read()), "written_bytes": str(done.bytes_read())}


def _feed(writer: int, data: Iterable[bytes]) -> None:
    with suppress(BrokenPipeError), open(writer, "wb") as pipe:
        pipe.writelines(data)


def summary(read: Any) -> dict[str, str]:
    """X-ClickHouse-Summary of a finished query."""
    return {
        "read_rows": str(read.storage_rows_read()),
        "read_bytes": str(read.storage_bytes_read()),
        "result_rows": str(read.rows_read()),
        "result_bytes": str(read.bytes_read()),
        "elapsed_ns": str(int(read.elapsed() * 1e9)),
    }


def _apply(handle: Any, database: str, settings: Mapping[str, str | None]) -> None:
    """Set database and settings (None: back to the default)."""
    if database:
        handle.query(f"USE {quote_name(database)}")
    if wrong := [name for name in settings if not re.fullmatch(r"[A-Za-z_]\w*", name)]:
        raise EngineError(f"Code: 115. DB::Exception: Unknown setting {wrong[0]!r}. (UNKNOWN_SETTING)")
    if settings:
        pairs = (f"{name} = {'DEFAULT' if value is None else quote(value)}" for name, value in settings.items())
        handle.query("SET " + ", ".join(pairs))


def _state(handle: Any, which: str) -> tuple[str, dict[str, str | None]]:
    """Current database and settings of a handle; None for those at their default."""
    database = handle.query("SELECT currentDatabase()", "TSVRaw").bytes().decode()[:-1]
    rows = handle.query(
        f"SELECT name, value, changed FROM system.settings WHERE {which}",  # noqa: S608
        "JSONCompactEachRow",
    )
    parsed = (json.loads(line) for line in rows.bytes().splitlines())
    return database, {name: value if changed else None for name, value, changed in parsed}


def _check(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with open(path / "status", "a") as status:
            fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"{path} is in use by another ClickHouse; stop it or name another folder.") from None
    except OSError as error:
        raise Refused(f"{path} can't be written ({error.strerror}); name another folder.") from None
