"""`/i/…`: any image as tracker. The registered file is answered and counted; a missing one by the pixel, uncounted."""

import logging
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from flask import Response, request

from ingest.answers import GIF, PNG, UNCACHED
from ingest.reading import EXTENSIONS, UNIT
from ingest.recorder import Recorder

log = logging.getLogger("ingest")

#: A larger file is not answered: it would keep a worker from counting.
MAX_BYTES = 5 * 1024 * 1024

_TYPES = {"gif": "image/gif", "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "svg": "image/svg+xml"}

_NAME = re.compile(rf"({UNIT.pattern})\.({'|'.join(sorted(EXTENSIONS['i']))})", re.ASCII)

#: An SVG may be opened as a document of our origin: it must not run anything, nor load it.
_SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


class Image(NamedTuple):
    """What is answered."""

    data: bytes
    content_type: str


def view(folder: Path, recorder: Recorder) -> Callable[[str], Response]:
    """The route, given the folder of registered images."""

    def image(name: str) -> Response:
        named = _NAME.fullmatch(name)
        found = registered(folder, named) if named else None
        if request.method == "GET":
            recorder.record("i", request.environ, "no-image" if named and found is None else "")
        return _answer(found or _pixel(name))

    return image


def registered(folder: Path, named: re.Match[str]) -> Image | None:
    """The ad unit's file, else its creative's: the same ad with several publishers needs but one."""
    unit, extension = named[1], named[named.re.groups]
    creative = "/".join(unit.split("/")[:3])
    for name in dict.fromkeys((unit, creative)):
        data = _read(folder, f"{name}.{extension}")
        if data is not None:
            return Image(data, _TYPES[extension])
    return None


def _read(folder: Path, name: str) -> bytes | None:
    """A file's bytes; None where there is none, or it is not one of ours to show."""
    try:
        path = Path(os.path.realpath(folder / name, strict=True))
        if not path.is_relative_to(os.path.realpath(folder)):
            log.warning("%s leads outside of %s: not answered", name, folder)
            return None
        # Neither a link put there since, nor a pipe that nobody writes to.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
                log.warning("%s is no file of at most %d bytes: not answered", name, MAX_BYTES)
                return None
            return file.read(MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        log.warning("%s can't be read: %s", name, error.strerror)
        return None


def _pixel(name: str) -> Image:
    return Image(PNG, "image/png") if name.endswith(".png") else Image(GIF, "image/gif")


def _answer(image: Image) -> Response:
    response = Response(image.data, content_type=image.content_type, headers=UNCACHED)
    if image.content_type == _TYPES["svg"]:
        response.headers["Content-Security-Policy"] = _SVG_POLICY
    return response
