"""Files that must be there after a power cut, and whole."""

import os
import secrets
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file's bytes, or a folder's names, survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_private(path: Path, content: bytes) -> None:
    """Make a file that its owner alone reads, on the disk. Raises OSError, FileExistsError where it is there."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def made_once(path: Path, content: bytes) -> bytes:
    """What a private file holds, which is made with this content where there is none. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        # Linked into place whole: of several processes that begin together, none reads half a file or its own.
        write_private(beside, content)
        try:
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return path.read_bytes()
