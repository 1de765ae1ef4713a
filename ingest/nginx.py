"""nginx as the front: the node that it writes, and the configuration that makes it write the same lines.

nginx writes into `spool/nginx/current`, a link to the newest segment. Because the log's path holds a variable, nginx
looks every second (`open_log_file_cache valid=1s`) whether the link still leads to the file that it has open; so a new
segment needs no signal to nginx and no right to send one. The reader leaves a segment when no process has it open for
writing any more. While the spool is full, `current` leads to files beside the segments, which are counted and deleted.
"""

import fcntl
import os
import time
from pathlib import Path

from ingest.answers import PNG
from ingest.spool import SEGMENT_S, create_segment, last_segment, segment_path
from pixeltally.files import sync
from pixeltally.settings import Settings

_CURRENT = "current"

#: What a line says of Sec-GPC and DNT: each header that nginx looks for costs it time.
_GPC, _NO_GPC = '"gpc":"$http_sec_gpc","dnt":"$http_dnt"', '"gpc_left_out":true'

#: The beginning of a file's name that takes lines while the spool is full.
_LOST = "lost-"

#: How long one of those is written to.
LOST_S = 3.0

#: nginx looks at most so seldom whether `current` has moved (`open_log_file_cache valid=1s`).
LOOKS_S = 1.0

#: A worker of nginx that has nothing to write keeps a file open, but looks again before it writes: after so long
#: nobody is still in the middle of a write.
LEAVES_S = 10.0


def prepare(folder: Path) -> None:
    """Make an nginx's node, its first segment and the image that nginx can't make itself."""
    folder.mkdir(parents=True, exist_ok=True)
    sync(folder.parent)
    (folder / "pixel.png").write_bytes(PNG)
    if not os.path.lexists(folder / _CURRENT):
        begin_segment(folder)


def begin_segment(folder: Path) -> None:
    """Have nginx write to a new segment, from at most a second from now on."""
    number = last_segment(folder) + 1
    _write_to(folder, segment_path(folder, number), create_segment(folder, number))


def tend(folder: Path, segment_bytes: int, is_full: bool) -> None:
    """What must be done about once a second: begin new segments, by size and by age; keep lines out of a full spool."""
    current = Path(os.readlink(folder / _CURRENT)).name
    size, since_s = (folder / current).stat().st_size, _since_s(folder / _CURRENT)
    if is_full:
        if not current.startswith(_LOST) or (size and since_s > LOST_S):
            path = folder / f"{_LOST}{time.time_ns()}"
            _write_to(folder, path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    elif current.startswith(_LOST) or size >= segment_bytes or (size and since_s > SEGMENT_S):
        begin_segment(folder)


def has_left(folder: Path, path: Path) -> bool:
    """Whether surely no nginx writes to this file any more. Raises FileNotFoundError."""
    current = folder / _CURRENT
    if os.readlink(current) == path.name or _since_s(current) < LOOKS_S:
        return False
    return _is_free(path) or _since_s(path) > LEAVES_S


def lost_files(folder: Path) -> list[tuple[int, Path]]:
    """The files of requests that nginx has answered and that are not kept, each with its number; no longer written."""
    found = [(int(path.name.removeprefix(_LOST)), path) for path in folder.glob(f"{_LOST}*")]
    return [(number, path) for number, path in sorted(found) if has_left(folder, path)]


def configuration(settings: Settings, listen: str, folder: str, upstream: str) -> str:
    """The configuration; `folder` is the node as nginx sees it, `upstream` the `host:port` of Flask."""
    text = Path(__file__).with_name("nginx.conf").read_text("ascii")
    gpc = _GPC if settings.gpc == "anonymous" else _NO_GPC
    for name, value in {"LISTEN": listen, "FOLDER": folder, "UPSTREAM": upstream, "GPC": gpc}.items():
        text = text.replace(f"@{name}@", value)
    return text


def _write_to(folder: Path, path: Path, file: int) -> None:
    """Have nginx write to `path`, which has just been made and opened as `file`."""
    os.fchmod(file, 0o660)  # nginx may be another user of the folder's group
    os.close(file)
    beside = folder / "next"
    beside.unlink(missing_ok=True)
    beside.symlink_to(path.name)
    # In one step: at no moment does `current` lead nowhere.
    beside.replace(folder / _CURRENT)
    sync(folder)


def _since_s(path: Path) -> float:
    """Seconds since a link was made, or a file was written to."""
    return time.time() - os.lstat(path).st_mtime


def _is_free(path: Path) -> bool:
    """Whether surely no process has the file open for writing."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    with path.open("rb") as file:
        try:
            # Granted exactly where nobody has it open for writing (fcntl(2)).
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            return True
        except OSError:
            return False
