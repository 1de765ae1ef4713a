"""What a browser says a request is for reaches the hit, whichever header it says it in."""

import pytest
from ingesting import Ingest


@pytest.mark.parametrize(
    ("headers", "purpose"),
    [
        ({}, ""),
        ({"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"}, "prefetch;prerenderprefetch"),
        ({"Purpose": "prefetch"}, "prefetch"),
        ({"X-Moz": "prefetch"}, "prefetch"),
    ],
)
@pytest.mark.parametrize("path", ["/p/a/b/c.gif", "/v/a/b.gif"])
def test_headers(tmp_path, path, headers, purpose):
    ingest = Ingest(tmp_path)
    assert ingest.get(path, headers=headers).status_code == 200
    assert [hit.purpose for hit in ingest.read()] == [purpose]
