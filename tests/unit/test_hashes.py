"""What compiled loops hash is what everyone else hashes."""

from hashlib import blake2b

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pixeltally import hashes
from pixeltally.compiled import PADDING
from pixeltally.hashes import BLOCK_BYTES
from pixeltally.partition import partitions


def block(text):
    return np.frombuffer(text.ljust(BLOCK_BYTES, b"\0") + PADDING, np.uint8)


@given(st.binary(max_size=BLOCK_BYTES))
@example(b"x" * BLOCK_BYTES)
def test_blake2b_is_hashlibs(text):
    words = hashes.blake2b(block(text), len(text), 10)
    assert b"".join(word.to_bytes(8, "little") for word in words)[:10] == blake2b(text, digest_size=10).digest()


@given(st.lists(st.binary(min_size=1, max_size=BLOCK_BYTES), min_size=1, max_size=5))
def test_murmur2_is_the_partitioners(keys):
    hashed = [hashes.murmur2(block(key), len(key)) for key in keys]
    assert [each % (1 << 31) % 7 for each in hashed] == partitions(keys, 7)
