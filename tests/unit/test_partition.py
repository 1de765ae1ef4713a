"""Our partitions are those of Kafka's default partitioner."""

from hypothesis import given
from hypothesis import strategies as st

from pixeltally.partition import key, partitions


def murmur2(data: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, transcribed plainly."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    for i in range(0, len(data) // 4 * 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    rest = data[len(data) // 4 * 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_known_hashes_of_kafka():
    # From Kafka's own UtilsTest.testMurmur2, made unsigned.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536, b"abc": 479470107}
    for data, expected in known.items():
        assert murmur2(data) == expected & 0xFFFFFFFF


@given(st.lists(st.binary(max_size=70), min_size=1), st.integers(1, 50))
def test_whole_columns_give_what_single_keys_give(keys, count):
    assert partitions(keys, count) == [(murmur2(each) & 0x7FFFFFFF) % count for each in keys]


def test_no_keys():
    assert partitions([], 4) == []


def test_a_key_names_campaign_and_visitor():
    assert key("acme", "spring", 2**64 - 1) == b"acme/spring|18446744073709551615"
