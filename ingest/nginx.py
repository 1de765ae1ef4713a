"""nginx as the front: the node that it writes, and the configuration that makes it write the same lines.

nginx writes into `spool/nginx/current`, a link to the newest segment. Because the log's path holds a variable, nginx
looks every second (`open_log_file_cache valid=1s`) whether the link still leads to the file that it has open; so a new
segment needs no signal to nginx and no right to send one. The reader leaves a segment when no process has it open for
writing any more (`ingest/tail.py`).
"""

import os
from pathlib import Path

from ingest.answers import PNG
from ingest.spool import create_segment, last_segment, segment_path, sync_folder

_CURRENT = "current"

#: While this file is there, nginx writes a byte a request into `lost` instead of a line.
_FULL = "full"
_LOST = "lost"


def prepare(folder: Path) -> None:
    """Make an nginx's node, its first segment and the image that nginx can't make itself."""
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(folder.parent)
    (folder / "pixel.png").write_bytes(PNG)
    (folder / _LOST).touch()
    (folder / _LOST).chmod(0o660)
    if not os.path.lexists(folder / _CURRENT):
        begin_segment(folder)


def begin_segment(folder: Path) -> None:
    """Have nginx write to a new segment, from at most a second from now on."""
    number = last_segment(folder) + 1
    file = create_segment(folder, number)
    os.fchmod(file, 0o660)  # nginx may be another user of the folder's group
    os.close(file)
    beside = folder / "next"
    beside.unlink(missing_ok=True)
    beside.symlink_to(segment_path(folder, number).name)
    # In one step: at no moment does `current` lead nowhere.
    beside.replace(folder / _CURRENT)
    sync_folder(folder)


def tend(folder: Path, segment_bytes: int, is_full: bool) -> None:
    """What must be done about once a second: begin a new segment in time, and say whether the spool is full."""
    if (folder / _CURRENT).stat().st_size >= segment_bytes:
        begin_segment(folder)
    if is_full:
        (folder / _FULL).touch()
    else:
        (folder / _FULL).unlink(missing_ok=True)


def count_lost(root: Path) -> int:
    """How many requests nginx has answered and not kept since this was asked last."""
    lost = 0
    for path in root.glob(f"*/{_LOST}"):
        size = path.stat().st_size
        if size:
            os.truncate(path, 0)
            lost += size
    return lost


def configuration(listen: str, folder: str, upstream: str) -> str:
    """The configuration; `folder` is the node as nginx sees it, `upstream` the `host:port` of Flask."""
    text = Path(__file__).with_name("nginx.conf").read_text("ascii")
    for mark, value in (("@LISTEN@", listen), ("@FOLDER@", folder), ("@UPSTREAM@", upstream)):
        text = text.replace(mark, value)
    return text
