"""What the embedded engine must not do on a full disk, where it writes empty files and says that all is well.

So nothing is written while there is little room, and what was written counts as written only where there is room
afterwards. Merges stop at the same mark. One that met a full disk before that has put an unreadable part in the place
of good ones: these are kept, and are read again once there is room and the engine is opened anew.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from local.clickhouse_engine import Engine
from local.clickhouse_sql import EngineError

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

    @contextmanager
    def written(self) -> Iterator[None]:
        """For what the block writes; raise EngineError where there is no room, or was none when it was written."""
        self._require()
        yield
        self._require()

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
            raise EngineError(
                f"Code: 243. DB::Exception: {free >> 20} MiB are free on the disk of {self._engine.path}, and nothing"
                f" is written with less than {MIN_FREE_BYTES >> 20}. (NOT_ENOUGH_SPACE)"
            )

    def _free(self) -> int:
        free = shutil.disk_usage(self._engine.path).free
        self._lacked |= free < MIN_FREE_BYTES
        return free
