"""BLAKE2b (RFC 7693) of short texts and Kafka's murmur2, for compiled loops: what `identity` and `partition` make."""

import numpy as np

from pixeltally.compiled import Array, Number, byte, compiled, inlined, load

#: A text that is hashed is no longer than this, and zeros follow it up to there.
BLOCK_BYTES = 128

_INITIAL = np.array(
    [
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    ],
    np.uint64,
)  # fmt: skip

#: Where the words stand that each round takes, in its order.
_ORDERS = 8 * np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ]
)

_M, _32_BITS = np.uint64(0x5BD1E995), np.uint64(0xFFFFFFFF)


@inlined
def _turned(word: Number, right: int) -> Number:
    return word >> np.uint64(right) | word << np.uint64(64 - right)


@inlined
def _mixed(a: Number, b: Number, c: Number, d: Number, first: Number, second: Number) -> Number:
    a = a + b + first
    d = _turned(d ^ a, 32)
    c = c + d
    b = _turned(b ^ c, 24)
    a = a + b + second
    d = _turned(d ^ a, 16)
    c = c + d
    return a, _turned(b ^ c, 63), c, d


@compiled
def blake2b(text: Array, length: Number, digest_bytes: int) -> tuple[Number, Number]:
    """The first sixteen bytes of a text's hash without a key, as two words, of which the first byte is the lowest.

    The text stands at the beginning of its array.
    """
    head = _INITIAL[0] ^ np.uint64(0x01010000 ^ digest_bytes)
    a, b, c, d = head, _INITIAL[1], _INITIAL[2], _INITIAL[3]
    e, f, g, h = _INITIAL[4], _INITIAL[5], _INITIAL[6], _INITIAL[7]
    i, j, k, m = _INITIAL[0], _INITIAL[1], _INITIAL[2], _INITIAL[3]
    n, o, p, q = _INITIAL[4] ^ np.uint64(length), _INITIAL[5], ~_INITIAL[6], _INITIAL[7]
    for round in range(_ORDERS.shape[0]):
        order = _ORDERS[round]
        a, e, i, n = _mixed(a, e, i, n, load(text, order[0]), load(text, order[1]))
        b, f, j, o = _mixed(b, f, j, o, load(text, order[2]), load(text, order[3]))
        c, g, k, p = _mixed(c, g, k, p, load(text, order[4]), load(text, order[5]))
        d, h, m, q = _mixed(d, h, m, q, load(text, order[6]), load(text, order[7]))
        a, f, k, q = _mixed(a, f, k, q, load(text, order[8]), load(text, order[9]))
        b, g, m, n = _mixed(b, g, m, n, load(text, order[10]), load(text, order[11]))
        c, h, i, o = _mixed(c, h, i, o, load(text, order[12]), load(text, order[13]))
        d, e, j, p = _mixed(d, e, j, p, load(text, order[14]), load(text, order[15]))
    return head ^ a ^ i, _INITIAL[1] ^ b ^ j


@compiled
def murmur2(text: Array, length: Number) -> Number:
    """The 32 bits that Kafka's Java client makes of a key, which stands at the beginning of its array."""
    hashed = np.uint64(0x9747B28C ^ length)
    for at in range(0, length - 3, 4):
        word = (load(text, at) & _32_BITS) * _M & _32_BITS
        word = (word ^ word >> np.uint64(24)) * _M & _32_BITS
        hashed = hashed * _M & _32_BITS ^ word
    rest = length & 3
    if rest:
        for at in range(length - rest, length):
            hashed ^= np.uint64(byte(text, at)) << np.uint64(8 * (at - length + rest))
        hashed = hashed * _M & _32_BITS
    hashed = (hashed ^ hashed >> np.uint64(13)) * _M & _32_BITS
    return np.int64(hashed ^ hashed >> np.uint64(15))
