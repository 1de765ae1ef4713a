"""What the archive holds where addresses must not be kept: read again it is the same hit, and says no more."""

from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import packing, request
from ingest.reading import Uncountable
from ingest.reduction import is_needed, reducer
from ingest.request import Request
from ingest.spool import place
from pixeltally.settings import Settings

SECRET = {"PIXELTALLY_SECRET": "of the tests", "PIXELTALLY_TRUSTED_PROXIES": "127.0.0.1/32"}
ADDRESS, SUBSCRIBER = "203.0.113.77", "anna@example.org"

PATHS = ["/p/acme/spring/banner.gif", "/i/acme/spring/banner/blog.png", "/c/acme/spring/banner", "/v/acme/spring.gif"]
PATHS += ["/p/UPPER/b/c.gif", "/x", "/p/%61cme/spring/banner.gif"]
FIELDS = [
    "e=open",
    "e=melt",
    "cb=1",
    "to=https%3A%2F%2Fshop.example%2F%3Fa%3Db",
    "k=x",
    "order=A-1",
    "value=12.5",
    "value=-1",
]
FIELDS += [
    "currency=EUR",
    "pt_click=0190f3a4-0000-7000-8000-000000000000",
    "n=%C3%A9",
    "empty=",
    "",
    f"s={quote(SUBSCRIBER)}",
]
FIELDS += [f"%73={SUBSCRIBER}", "s="]

requests = st.builds(
    lambda path, fields, **more: Request(1_700_000_000.123, f"{path}?{'&'.join(fields)}" if fields else path, **more),
    st.sampled_from(PATHS),
    st.lists(st.sampled_from(FIELDS), max_size=5),
    peer=st.sampled_from([ADDRESS, "127.0.0.1", "2001:db8::7:8", "unix:"]),
    forwarded_for=st.sampled_from(["", ADDRESS, "unknown"]),
    user_agent=st.sampled_from(["", "Mozilla/5.0 (X11; Linux)"]),
    referer=st.sampled_from(["", "https://news.example/"]),
    gpc=st.sampled_from(["", "1"]),
    gpc_left_out=st.booleans(),
    purpose=st.sampled_from(["", "prefetch"]),
    method=st.sampled_from(["GET", "GET", "HEAD"]),
    postback=st.booleans(),
    refused=st.sampled_from(["", "", "bad-signature"]),
)


def judged(settings, line, seq):
    try:
        hit = packing.judgement(settings)(line, "node", seq)
    except Uncountable as reason:
        return str(reason)
    return hit and msgspec.structs.asdict(hit)


@given(
    requests,
    st.sampled_from(["full", "truncated", "none"]),
    st.sampled_from(["ignore", "anonymous"]),
    st.sampled_from(["ip", "ip+ua"]),
)
def test_a_reduced_line_is_read_as_the_same_hit(said, store_ip, gpc, visitor):
    settings = Settings.from_env(
        {**SECRET, "PIXELTALLY_STORE_IP": store_ip, "PIXELTALLY_GPC": gpc, "PIXELTALLY_VISITOR": visitor}
    )
    line, seq = request.encode(said), place(7, 4711)
    reduced = reducer(settings)(line, "node", seq)
    assert judged(settings, reduced, seq) == judged(settings, line, seq)
    assert request.decode(reduced).offset == 4711
    if store_ip != "full":
        assert ADDRESS.encode() not in reduced
    if store_ip == "none":
        assert SUBSCRIBER.encode() not in reduced
        assert quote(SUBSCRIBER).encode() not in reduced
    if is_needed(settings):
        again = reducer(settings)(reduced, "node", seq)
        assert judged(settings, again, seq) == judged(settings, line, seq)


@pytest.mark.parametrize("line", [b'{"torn', b"\xff\xfe", b"[]"])
def test_what_cannot_be_read_keeps_its_place_and_no_more(line):
    settings = Settings.from_env({**SECRET, "PIXELTALLY_STORE_IP": "none"})
    reduced = reducer(settings)(line, "node", place(1, 99))
    assert judged(settings, reduced, place(1, 99)) == "unreadable-line"
    assert request.decode(reduced).offset == 99
