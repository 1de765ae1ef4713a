"""The auditor's reader and ingest's, written apart from the same rules, read the same."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from test_reduction import SECRET, requests

from audit import asking
from ingest import packing, request
from ingest.closing import READ_BY
from ingest.reading import Uncountable
from ingest.reduction import reducer
from pixeltally.settings import Settings

SAME = ("ts", "kind", "advertiser", "campaign", "creative", "placement", "ip", "user_agent", "purpose")
SAME += ("order", "value", "currency")
NODE, SEQ = "node", 7 << 40 | 7


def hit(settings, line):
    try:
        return packing.judgement(settings)(line, NODE, SEQ)
    except Uncountable:
        return None


#: Servers report conversions, and nothing else.
REAL = requests.filter(lambda said: not said.postback or said.uri.startswith("/v/"))

SETTINGS = st.fixed_dictionaries(
    {
        "PIXELTALLY_GPC": st.sampled_from(["ignore", "anonymous"]),
        "PIXELTALLY_VISITOR": st.sampled_from(["ip", "ip+ua"]),
        "PIXELTALLY_IPV6_PREFIX": st.sampled_from(["128", "64"]),
        "PIXELTALLY_TRUSTED_PROXIES": st.sampled_from(["", "127.0.0.0/8, 203.0.113.0/24"]),
        "PIXELTALLY_STORE_IP": st.sampled_from(["full", "full", "truncated", "none"]),
    }
)


@given(st.lists(REAL, min_size=1, max_size=4), SETTINGS)
def test_both_read_the_same_requests_of_the_same_visitors(said, environ):
    settings = Settings.from_env({**SECRET, **environ})
    read = asking.reader({name: settings.text(name) for name in READ_BY})
    lines = [request.encode(each) for each in said]
    if environ["PIXELTALLY_STORE_IP"] != "full" or environ["PIXELTALLY_GPC"] == "anonymous":
        lines = [reducer(settings)(line, NODE, SEQ) for line in lines]
    hits, asked = [hit(settings, line) for line in lines], [read(line) for line in lines]
    for ours, theirs in zip(hits, asked, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            fields = msgspec.structs.asdict(ours)
            assert {name: fields[name] for name in SAME} == {name: getattr(theirs, name) for name in SAME}
            assert (ours.visitor == 0) == (theirs.who == asking.NOBODY)
            assert asking.click_id(theirs.ts, NODE, SEQ) == ours.id
            assert theirs.click == ours.click_id
    pairs = [(ours.visitor, theirs.who) for ours, theirs in zip(hits, asked, strict=True) if ours and theirs]
    assert len({visitor for visitor, _ in pairs}) == len({who for _, who in pairs}) == len(set(pairs))


@given(REAL, SETTINGS)
def test_a_hit_without_a_line_is_the_same_visitor(said, environ):
    settings = Settings.from_env({**SECRET, **environ})
    by = {name: settings.text(name) for name in READ_BY}
    line = request.encode(said)
    ours, theirs = hit(settings, line), asking.reader(by)(line)
    if ours is not None and theirs is not None and environ["PIXELTALLY_STORE_IP"] == "full":
        click = ours.id if ours.kind == "click" else ours.click_id
        assert asking.of_hit(msgspec.json.decode(msgspec.json.encode(ours)), by) == theirs._replace(click=click)


@given(st.binary(max_size=60))
def test_garbage_is_no_request_for_either(garbage):
    settings = Settings.from_env(SECRET)
    read = asking.reader({name: settings.text(name) for name in READ_BY})
    for line in (
        garbage,
        b'{"time":1.5,"uri":' + garbage,
        b'{"time":1,"uri":"/p/a/b/c.gif","peer":"1.1.1.1","x":"' + garbage + b'"}',
    ):
        assert (read(line) is None) == (hit(settings, line) is None)
