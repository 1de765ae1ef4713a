"""Our reader of queries agrees with Python's own."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.query import fields


@given(st.one_of(st.text(alphabet="ab=&+%41Fé;", max_size=60), st.text(max_size=30)))
def test_any_query_reads_as_it_does_in_the_standard_library(query):
    assert fields(query, 1000) == dict(reversed(parse_qsl(query, keep_blank_values=True)))


def test_too_many_fields_are_refused():
    assert len(fields("&".join(f"f{n}=1" for n in range(50)), 50)) == 50
    with pytest.raises(ValueError, match="too many"):
        fields("&".join(f"f{n}=1" for n in range(51)), 50)
