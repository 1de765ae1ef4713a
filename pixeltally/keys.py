"""The keys that sign click links and tokens: one signs, the ones before it stay valid for a time.

They come from PIXELTALLY_SECRET, the same on every node, or else from the data folder: `secret` is the first key and
never changes, `keys.json` holds those that rotations added. A key is retired at the moment its successor was made.
"""

import fcntl
import logging
import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

import msgspec

from pixeltally.errors import Refused
from pixeltally.files import made_once, write_private

log = logging.getLogger("keys")

_RING = re.compile(r"[a-z0-9]{1,16}:")
_ENTRY = re.compile(r"([a-z0-9]{1,16}):([A-Za-z0-9_+/=.-]{16,})(?::(\d{4}-\d{2}-\d{2}))?", re.ASCII)

#: How often the key file is looked at, at most.
LOOK_S = 1.0

_DAY_S = 86_400


class Key(msgspec.Struct, frozen=True):
    """One key; times in epoch seconds, 0 where they are not known."""

    id: str
    secret: bytes
    created: float = 0.0
    retired: float = 0.0  #: 0: it is not

    def is_accepted(self, grace_s: float) -> bool:
        """Whether what it signed is still valid."""
        return not self.retired or time.time() < self.retired + grace_s


class _Added(msgspec.Struct):
    """A key as `keys.json` holds it."""

    secret: str
    created: float


def key_of(secret: bytes) -> Key:
    """The key of a bare secret, its id made from it."""
    return Key(blake2b(secret, digest_size=4, person=b"key id").hexdigest(), secret)


def parse(text: str) -> tuple[Key, ...]:
    """The keys of PIXELTALLY_SECRET, oldest first: a bare secret, or `id:secret[:retired day],…`.

    Raises ValueError, without the secrets, where it begins like a list and is none.
    """
    if _RING.match(text) is None:
        return (key_of(text.encode()),) if text else ()
    keys = []
    for number, entry in enumerate(text.split(","), 1):
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise ValueError(f"entry {number} is not id:secret or id:secret:YYYY-MM-DD, the secret 16 letters or more")
        id, secret, day = match.groups()
        retired = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() if day else 0.0
        keys.append(Key(id, secret.encode(), retired=retired))
    if len({key.id for key in keys}) < len(keys):
        raise ValueError("two entries have the same id")
    if keys[-1].retired:
        raise ValueError("the last entry signs, so it can't be retired")
    return tuple(keys)


class Keys:
    """The installation's keys, oldest first; a rotation is taken up within a second."""

    def __init__(self, given: Sequence[Key], data: Path, grace_days: int) -> None:
        self._given = tuple(given)
        self._data = data
        self._grace_s = grace_days * _DAY_S
        self._known: tuple[Key, ...] = self._given
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0

    def all(self) -> tuple[Key, ...]:
        """Every key, oldest first; the first is made where there is none."""
        if not self._given and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_S
            stamp = _stamp(self._file)
            if not self._known or stamp != self._stamp:
                self._take_up(stamp)
        return self._known

    def first(self) -> Key:
        """The oldest key. It hides visitors too, so that a rotation makes nobody a new visitor."""
        return self.all()[0]

    def signing(self) -> Key:
        """The key that signs."""
        return self.all()[-1]

    def accepted(self) -> list[Key]:
        """The keys whose signatures are valid."""
        return [key for key in self.all() if key.is_accepted(self._grace_s)]

    def accepted_until(self, key: Key) -> float:
        """When what a retired key signed ends to be valid, epoch seconds."""
        return key.retired + self._grace_s

    def rotate(self) -> Key:
        """Add a key, which signs from now on; raises :class:`Refused` where PIXELTALLY_SECRET gives the keys."""
        if self._given:
            raise Refused(
                "the keys come from PIXELTALLY_SECRET: append ,ID:SECRET to it, first where requests are answered,"
                " then where tags are printed (docs/keys.md)"
            )
        self.first()
        with (self._data / "secret").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            added = [*_added(self._file), _Added(secrets.token_hex(32), time.time())]
            _replace(self._file, msgspec.json.encode(added))
        self._next_look = 0.0
        return self.signing()

    @property
    def _file(self) -> Path:
        return self._data / "keys.json"

    def _take_up(self, stamp: tuple[int, int] | None) -> None:
        try:
            self._known = self._read()
        except Refused as refusal:
            # A running worker goes on with what it knows: its links work, and the file may be put right.
            if not self._known:
                raise
            log.error("%s", refusal)
        self._stamp = stamp

    def _read(self) -> tuple[Key, ...]:
        path = self._data / "secret"
        secret, created = _first_secret(path), path.stat().st_mtime
        keys = []
        for each in _added(self._file):
            keys.append(msgspec.structs.replace(key_of(secret), created=created, retired=each.created))
            secret, created = each.secret.encode(), each.created
        return (*keys, msgspec.structs.replace(key_of(secret), created=created))


def rows(keys: Keys) -> list[tuple[str, str, str, str]]:
    """The keys as a table of text, its head first: id, created, retired, and what they are good for."""
    table = [("id", "created", "retired", "state")]
    signing, accepted = keys.signing(), keys.accepted()
    for key in keys.all():
        if key == signing:
            state = "signs"
        elif key in accepted:
            state = f"accepted until {_day(keys.accepted_until(key))}" if key.retired else "accepted"
        else:
            state = "expired"
        table.append((key.id, _day(key.created), _day(key.retired), state))
    return table


def _day(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d") if time_s else "-"


def _first_secret(path: Path) -> bytes:
    return made_once(path, secrets.token_hex(32).encode()).strip()


def _added(path: Path) -> list[_Added]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[_Added])
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise Refused(
            f"{path} can't be read ({error}); put back its copy, or click links made since lead nowhere"
        ) from None


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    write_private(beside, content)
    beside.replace(path)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino
