"""Ids that the same input always gets again: a hit's UUIDv7 and a visitor's number."""

from hashlib import blake2b

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_A = 0xFFF << 64
_RANDOM_B = (1 << 62) - 1


def hit_id(ts_ms: int, node: str, seq: int) -> str:
    """The UUIDv7 (RFC 9562) of the hit at place `seq` of `node`'s spool, answered at `ts_ms`.

    Its 74 free bits are a hash of the place instead of random, so that shipping a line twice, or importing a
    file twice, gives the same id.
    """
    digest = blake2b(b"%b:%d" % (node.encode(), seq), digest_size=10).digest()
    free = int.from_bytes(digest)
    number = (ts_ms & 0xFFFFFFFFFFFF) << 80 | _VERSION_7 | (free & _RANDOM_A) | _VARIANT | (free & _RANDOM_B)
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def visitor_number(key: bytes, visitor: str) -> int:
    """A visitor (subscriber, address, or address and agent) as an unsigned 64-bit number.

    The hash is keyed: without `key` (at most 64 bytes) nobody can find an address by trying all of them.
    """
    return int.from_bytes(blake2b(visitor.encode(), digest_size=8, key=key).digest()) or 1  # 0 is nobody


def visitor_key(secret: bytes) -> bytes:
    """The key of :func:`visitor_number`, derived from the installation's secret of any length."""
    return blake2b(secret, digest_size=32, person=b"visitor").digest()
