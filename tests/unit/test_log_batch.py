"""Lines that are judged all at once become the hits that they become one by one."""

import time
from collections import Counter

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import combined
from ingest.log_batch import Batches
from ingest.log_counted import Counted
from ingest.log_judge import judgement, page
from ingest.log_lines import read
from ingest.logged import Unreadable
from pixeltally.hit import Hit
from pixeltally.packed import MESSAGE_BYTES, MESSAGE_LINES
from pixeltally.partition import key, partitions
from pixeltally.settings import Settings

NOW = time.time()
FIRST, PARTITIONS = 70, 3
PAGES = [page("/blog/*=acme/site/blog"), page("/p/2*=acme/site/rest/x")]


def stamp(age_s):
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(NOW - age_s))


def often(usual, *others):
    """Mostly the usual, so that most lines are hits."""
    return st.one_of(st.just(usual), st.just(usual), st.sampled_from([usual, *others]))


PEERS = often("192.0.2.7", "192.0.2.8", "2001:db8::1", "::ffff:192.0.2.7", "[2001:DB8::1]:80", "host", "-", "", "x y")
TIMES = often(stamp(60), stamp(86_400), stamp(4e7), stamp(-1e6), stamp(9)[:-5] + "+0130", stamp(9)[:-5] + "+2500", "x")
METHODS = often("GET", "HEAD", "POST", "get", "")
PATHS = often(
    "/p/acme/spring/banner/blog.gif", "/p/a/b/c.png", "/i/a/b/c.jpg", "/c/a/b/c", "/v/a/b.gif", "/p/a/b.gif", "/p/2/x",
    "/blog/1", "/blog/ä", "/other", "https://t.example/p/a/b/c.gif", "*", "/%70/a/b/c.gif", "/p/a b/c/d.gif",
)  # fmt: skip
FIELDS = often(
    "cb=1", "cb=", "cb", "s=anna", "s=bert", "e=open", "e=melt", "x=1", "x=%22", "order=7", "value=1.50", "to=https://r/",
    "cb=%", "", "pt_click=00000000-0000-7000-8000-000000000001", 'x="',
)  # fmt: skip
QUERIES = st.lists(FIELDS, max_size=4).map(lambda fields: "?" + "&".join(fields) if fields else "")
STATUSES = often("200", "304", "302", "404", "099", "20", "2000")
TEXTS = often(
    "Mozilla (X)", "-", "", "https://r/?a=b", 'a\\"b', "Mozillä", "\\xC3", "\t", "a\rb", "\x7f", "x" * 70, "x" * 17_000
)
ENDS = often("", ' "-"', ' "198.51.100.9"', " 0.004", " ", "\r", '"')


@st.composite
def logged(draw):
    """A line, or what is nearly one."""
    who, between = draw(PEERS), draw(often("- -", "- Frank", "-", '- "x"', "198.51.100.7 - -", "198.51.100.7 - a b"))
    asked = f"{draw(METHODS)} {draw(PATHS)}{draw(QUERIES)} {draw(often('HTTP/1.1', 'HTTP/2.0', 'http', ''))}"
    numbers = f"{draw(STATUSES)} {draw(often('43', '-', '4 3', ''))}"
    line = f'{who} {between} [{draw(TIMES)}] "{asked}" {numbers} "{draw(TEXTS)}" "{draw(TEXTS)}"{draw(ENDS)}'.encode()
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(max_size=2)) + line[at + draw(st.integers(0, 2)) :]
    return line.replace(b"\n", b"")


def one_by_one(block, judge):
    """(hits' lines by partition, {why: how many})."""
    hits, left = [], Counter()
    for place, line in enumerate(block.replace(b"\r\n", b"\n").split(b"\n"), FIRST):
        try:
            found = judge(combined.parse(line.decode("utf-8", "replace")), "node", place)
        except Unreadable as error:
            found = str(error) if line.strip() else "empty line"
        if isinstance(found, Hit):
            hits.append(found)
        else:
            left[getattr(found, "why", found)] += 1
    places = partitions([key(hit.advertiser, hit.campaign, hit.visitor) for hit in hits], PARTITIONS)
    lines = {}
    for place, hit in zip(places, hits, strict=True):
        lines.setdefault(place, []).append(msgspec.json.encode(hit))
    return lines, left, {hit.node for hit in hits}


def at_once(block, batches):
    found = read(block)
    counted = Counted("node", FIRST, FIRST + len(found), PARTITIONS)
    judged = batches.judge(found, "node", FIRST, combined.parse, counted)
    lines = {}
    for _, partition, value in judged.messages:
        lines.setdefault(partition, []).extend(value.split(b"\n"))
    left = Counter()
    for why, count in [*judged.counts.items(), *((why, 1) for _, why in judged.left)]:
        left[why.why] += count
    assert judged.hits == sum(map(len, lines.values())) == counted.hits()
    return lines, left, set(+counted.sent)


ENVIRONS = st.fixed_dictionaries(
    {"PIXELTALLY_SECRET": st.just("s")},
    optional={
        "PIXELTALLY_VISITOR": st.just("ip+ua"),
        "PIXELTALLY_STORE_IP": st.sampled_from(["truncated", "none"]),
        "PIXELTALLY_TRUSTED_PROXIES": st.just("192.0.2.0/24"),
        "PIXELTALLY_RETENTION_DAYS": st.just("0"),
        "PIXELTALLY_GPC": st.just("anonymous"),
    },
)
USUAL = f'192.0.2.7 - - [{stamp(60)}] "GET /p/a/b/c.gif?cb=1 HTTP/1.1" 200 43 "-" "Mozilla"'.encode()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(logged(), min_size=1, max_size=5), min_size=1, max_size=3), ENVIRONS, st.sampled_from([[], PAGES])
)
@example(
    [[USUAL.replace(b"cb=1", b"&" * 49 + b"cb=1"), USUAL.replace(b"cb=1", b"&" * 50 + b"cb=1")]],
    {"PIXELTALLY_SECRET": "s"},
    [],
)
@example([[USUAL.replace(b"cb=1", b"x" * 8000 + b"&cb=" + b"1" * 200)]], {"PIXELTALLY_SECRET": "s"}, [])
@example([[USUAL.replace(b"24/", b"2\n4/"), USUAL.replace(b" +", b"\n+"), USUAL]], {"PIXELTALLY_SECRET": "s"}, [])
def test_hits_are_the_same_at_once_and_one_by_one(blocks, environ, pages):
    chosen = Settings.from_env(environ)
    judge, batches = judgement(chosen, pages, NOW), Batches(chosen, pages, NOW, PARTITIONS)
    for lines in blocks:
        block = b"\n".join(lines)
        if block:
            assert at_once(block, batches) == one_by_one(block.removesuffix(b"\n"), judge)


@pytest.mark.parametrize("agent_bytes", [1, 9_000])
def test_a_message_holds_no_more_than_it_may_and_lines_stay_in_order(agent_bytes):
    chosen = Settings.from_env({"PIXELTALLY_SECRET": "s"})
    block = (USUAL.replace(b"Mozilla", b"M" * agent_bytes) + b"\n") * 2500
    lines = read(block)
    assert lines.are_read.all()
    counted = Counted("node", FIRST, FIRST + 2500, PARTITIONS)
    judged = Batches(chosen, [], NOW, PARTITIONS).judge(lines, "node", FIRST, combined.parse, counted)
    values = [value.split(b"\n") for _, _, value in judged.messages]
    assert max(map(len, values)) <= MESSAGE_LINES
    assert max(len(value) for _, _, value in judged.messages) <= MESSAGE_BYTES
    assert len(values) <= 3 or len(values) <= 2 * 2500 * agent_bytes // MESSAGE_BYTES
    seqs = [msgspec.json.decode(line, type=Hit).seq for value in values for line in value]
    assert seqs == list(range(FIRST, FIRST + 2500))
