"""What the embedded engine must not do on a full disk, where it writes empty files and says that all is well.

So nothing is written while there is little room, and what was written counts as written only where there is room
afterwards. Merges stop at the same mark. One that met a full disk before that has put an unreadable part in the place
of good ones, and so has what was defined anew put an empty definition in the place of a good one: these are kept, and
are read again once there is room and the engine is opened anew.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from local import clickhouse_definitions as definitions
from local.clickhouse_engine import Engine
from local.clickhouse_sql import EngineError, Statement

log = logging.getLogger("clickhouse")

MIN_FREE_BYTES = 64 << 20
#: There is room again: not yet at the mark, so that the engine isn't opened anew again and again.
ROOM_BYTES = 2 * MIN_FREE_BYTES


class Room:
    """How much is free on the engine's disk, and what follows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lacked = False  #: since the engine was opened
        self._has_stopped_merges = False
        self._keeping = threading.Lock()

    def of(self, statement: Statement) -> AbstractContextManager[None]:
        """What a statement needs that has no data of its own and is run in this context."""
        if statement.defines:
            return self.defined()
        return self.written() if statement.writes else nullcontext()

    @contextmanager
    def written(self) -> Iterator[None]:
        """For what the block writes; raise EngineError where there is no room, or was none when it was written."""
        self._require()
        yield
        self._require()

    @contextmanager
    def defined(self) -> Iterator[None]:
        """The same for what the block defines."""
        with self.written():
            try:
                with self._keeping:
                    definitions.keep(self._engine.path)
            except OSError as error:
                raise EngineError(_no_space(f"the definitions could not be kept: {error}")) from None
            try:
                yield
            finally:
                if not definitions.are_whole(self._engine.path):
                    self._lacked = True
                    raise EngineError(_no_space("a definition could not be written"))

    def is_back(self) -> bool:
        """Whether room that has been lacking is there again: the engine must be opened anew. To be asked often."""
        free = self._free()
        if self._lacked and not self._has_stopped_merges:
            log.warning(
                "%d MiB are free on the disk of %s: nothing is written until %d are",
                free >> 20, self._engine.path, ROOM_BYTES >> 20,
            )  # fmt: skip
            self._engine.stop_merges()
            self._has_stopped_merges = True
        return self._lacked and free >= ROOM_BYTES

    def _require(self) -> None:
        free = self._free()
        if free < MIN_FREE_BYTES:
            found = f"{free >> 20} MiB are free on the disk of {self._engine.path}"
            raise EngineError(_no_space(f"{found}, and nothing is written with less than {MIN_FREE_BYTES >> 20}"))

    def _free(self) -> int:
        free = shutil.disk_usage(self._engine.path).free
        self._lacked |= free < MIN_FREE_BYTES
        return free


def _no_space(what: str) -> str:
    return f"Code: 243. DB::Exception: {what}. (NOT_ENOUGH_SPACE)"
