"""Kafka's default partitioner, for a thousand keys at a time."""

from collections.abc import Sequence

import numpy as np

_M = np.uint32(0x5BD1E995)
_SEED = np.uint32(0x9747B28C)


def key(advertiser: str, campaign: str, visitor: int) -> bytes:
    """The partition key of a hit: one campaign's visitor stays in one partition, in order."""
    return f"{advertiser}/{campaign}|{visitor}".encode()


def partitions(keys: Sequence[bytes], count: int) -> list[int]:
    """The partition, of `count`, that Kafka's Java client (murmur2) would choose for each key."""
    hashes = _murmur2(keys) & np.uint32(0x7FFFFFFF)
    result: list[int] = (hashes % np.uint32(count)).tolist()
    return result


def _murmur2(keys: Sequence[bytes]) -> np.ndarray:
    """32-bit murmur2 as in org.apache.kafka.common.utils.Utils, whole columns of words at a time."""
    lengths = np.fromiter(map(len, keys), dtype=np.uint32, count=len(keys))
    words = int(lengths.max(initial=0)) // 4 + 1
    padded = b"".join(each.ljust(words * 4, b"\0") for each in keys)
    table = np.frombuffer(padded, dtype="<u4").reshape(len(keys), words)
    full, rest = lengths // 4, lengths % 4
    with np.errstate(over="ignore"):
        h = _SEED ^ lengths
        for column in range(words):
            k = table[:, column] * _M
            k ^= k >> np.uint32(24)
            k *= _M
            h = np.where(column < full, (h * _M) ^ k, h)
        tail = table[np.arange(len(keys)), full]
        h = np.where(rest > 0, (h ^ tail) * _M, h)
        h ^= h >> np.uint32(13)
        h *= _M
        h ^= h >> np.uint32(15)
    return h
