"""Ids are UUIDv7 and come out the same for the same place."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from pixeltally.identity import hit_id, visitor_key, visitor_number


@given(st.integers(0, 2**48 - 1), st.text("0123456789abcdef", min_size=1), st.integers(0, 2**63))
def test_a_hit_id_is_a_uuid7_of_its_time(ts, node, seq):
    made = uuid.UUID(hit_id(ts, node, seq))
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == ts
    assert str(made) == hit_id(ts, node, seq)


def test_places_differ():
    assert len({hit_id(1, node, seq) for node in ("a", "b") for seq in range(1000)}) == 2000


def test_a_visitor_is_told_from_others_and_hidden_by_the_key():
    key, other = visitor_key(b"secret"), visitor_key(b"other")
    assert visitor_number(key, "1.2.3.4") == visitor_number(key, "1.2.3.4")
    assert visitor_number(key, "1.2.3.4") != visitor_number(key, "1.2.3.5")
    assert visitor_number(key, "1.2.3.4") != visitor_number(other, "1.2.3.4")
    assert 0 <= visitor_number(key, "1.2.3.4") < 2**64
