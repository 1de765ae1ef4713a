"""The compiled reader: what it reads, msgspec reads the same, and both of them find the same lines to be hits."""

import json
import uuid

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeltally.compiled import PADDING
from pixeltally.hit import Fact, Hit
from streams import columns, lines
from streams.sense import is_sensible, latest_ms

ARRIVED_MS = 1_764_000_000_000

HIT = {
    "id": str(uuid.UUID(int=7)),
    "ts": ARRIVED_MS,
    "kind": "impression",
    "advertiser": "acme",
    "campaign": "spring",
    "visitor": (1 << 64) - 1,
    "node": "n",
    "seq": 7,
}
MORE = {
    "creative": "banner",
    "placement": "blog",
    "subscriber": "s-1",
    "ip": "91.0.0.1",
    "user_agent": "Mozilla/5.0 (é)",
    "referer": "https://news.example/?q=1",
    "purpose": "prefetch",
    "params": {"n": "1", "to": ""},
    "order": "1",
    "value": "",
    "currency": "EUR",
    "click_id": "",
}
FOUND = {
    "verdict": "bot", "version": 7, "reasons": ["bot", "rate"], "rules_version": "x", "duplicate": True, "asn": 3320,
    "evidence": "proxy", "country": "DE", "isp": "Telekom", "browser": "Firefox", "os": "Linux", "device": "desktop",
}  # fmt: skip
TEXTS = ("advertiser", "campaign", "creative", "placement", "node", "ip", "user_agent", "purpose")
ROWS = range(columns.ADVERTISER, columns.VERDICT, 2)


def read(value):
    """What the reader makes of each line: None, or what it has read."""
    text = np.frombuffer(value + PADDING, np.uint8)
    table = np.zeros((columns.HEIGHT, lines.count(text, len(value))), np.int64)
    count, unread = lines.read(text, len(value), latest_ms(ARRIVED_MS), table)
    found = columns.Lines(text, table[:, :count], {})
    assert unread == np.count_nonzero(found.columns[columns.END] == 0)
    return [seen(found, index) if found.columns[columns.END, index] else None for index in range(count)]


def seen(found, index):
    high, low, visitor = found.columns[[columns.ID_HIGH, columns.ID_LOW, columns.VISITOR], index].astype(np.uint64)
    return {
        "line": found.line(index),
        "id": str(uuid.UUID(int=int(high) << 64 | int(low))),
        "ts": found.columns[columns.TIME, index],
        "kind": columns.KINDS[found.columns[columns.KIND, index]],
        "visitor": visitor,
        "seq": found.columns[columns.SEQ, index],
        "duplicate": bool(found.columns[columns.DUPLICATE, index]),
        "verdict": found.read(columns.VERDICT, index),
        **{name: found.read(row, index) for name, row in zip(TEXTS, ROWS, strict=True)},
    }


def test_what_our_encoder_writes_is_read():
    hit = Hit(**HIT, **MORE)
    fact = Fact(**HIT, **MORE, **FOUND)
    written = [msgspec.json.encode(each) for each in (hit, fact, Hit(**HIT))]
    for found, line, each in zip(read(b"\n".join(written)), written, (hit, fact, Hit(**HIT)), strict=True):
        assert found["line"] == line
        assert {name: found[name] for name in HIT | dict.fromkeys(TEXTS)} == {
            name: getattr(each, name) for name in HIT | dict.fromkeys(TEXTS)
        }
    assert [(found["verdict"], found["duplicate"]) for found in read(b"\n".join(written))] == [
        ("", False),
        ("bot", True),
        ("", False),
    ]


@pytest.mark.parametrize("style", [{}, {"indent": None, "separators": (" ,  ", " : ")}, {"sort_keys": True}])
def test_others_way_to_write_json_is_read(style):
    (found,) = read(json.dumps(HIT | MORE, ensure_ascii=False, **style).encode() + b"  ")
    assert found["user_agent"] == MORE["user_agent"]


values = st.one_of(
    st.sampled_from([0, -1, 1.5, 1 << 63, 1 << 64, None, True, [], {}, "", "x", "1", [1], {"a": 1}, {"a": "b"}, ["a"]]),
    st.sampled_from(["Ü", "a/b", "x" * 64, "x" * 65, ".a", "\n", "\ud800", str(uuid.UUID(int=1)), "click", "view"]),
    st.integers(-10, 1 << 65),
    st.text(max_size=12),
    st.text("0123456789.-+", max_size=8),
)


@st.composite
def written(draw):
    """A line: a hit, or nearly one, in some way of writing, with some bytes of it changed."""
    known = HIT | {name: value for name, value in (MORE | FOUND).items() if draw(st.booleans())}
    known["kind"] = draw(st.sampled_from(columns.KINDS))
    changed = draw(st.dictionaries(st.sampled_from([*HIT, *MORE, *FOUND, "more"]), values, max_size=2))
    for name in draw(st.sets(st.sampled_from([*HIT]), max_size=1)) if draw(st.integers(0, 4)) == 0 else ():
        del known[name]
    items = [*(known | changed).items()]
    items = draw(st.permutations(items)) if draw(st.booleans()) else items
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    line = json.dumps(dict(items), ensure_ascii=draw(st.booleans()), separators=separators).encode(errors="replace")
    if draw(st.integers(0, 3)) == 0:
        line = b"{" + json.dumps(draw(st.sampled_from([*HIT])).encode().decode()).encode() + b":1," + line[1:]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.binary(max_size=2)) + line[at + draw(st.integers(0, 2)) :]
    return line.replace(b"\n", b"")


def is_utf8(line):
    try:
        return bool(line.decode())
    except UnicodeDecodeError:
        return False


@settings(max_examples=600, deadline=None)
@given(st.lists(written().filter(is_utf8), max_size=4))
def test_what_is_read_is_what_msgspec_reads(written):
    found = read(b"\n".join(written))
    for line, each in zip(written, found, strict=True):
        if each is not None:
            hit = msgspec.json.decode(line, type=Hit)
            assert is_sensible(hit, line, ARRIVED_MS)
            assert each["line"] == line.rstrip()
            assert {name: each[name] for name in HIT | dict.fromkeys(TEXTS)} == {
                name: getattr(hit, name) for name in HIT | dict.fromkeys(TEXTS)
            }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ts", 946_684_799_999),
        ("ts", ARRIVED_MS + 86_400_001),
        ("visitor", -1),
        ("visitor", 1 << 64),
        ("visitor", 20_000_000_000_000_000_000),
        ("seq", 1 << 63),
        ("id", "7"),
        ("id", str(uuid.UUID(int=7)).replace("-", "_")),
        ("kind", "clic"),
        ("kind", "impressio"),
        ("advertiser", ""),
        ("creative", "Ü"),
        ("value", "12."),
        ("value", ".5"),
        ("value", "-1"),
        ("value", "12.34567"),
        ("value", "1" * 15),
        ("click_id", "7"),
        ("params", {"a": 1}),
        ("user_agent", 'a"b'),
        ("user_agent", "x" * (256 * 1024)),
        ("unknown", "x"),
    ],
)
def test_what_takes_a_closer_look_is_left_alone(name, value):
    assert read(json.dumps(HIT | {name: value}).encode()) == [None]


@pytest.mark.parametrize("kind", columns.KINDS)
@pytest.mark.parametrize("value", ["", "0", "12.5", "99999999999999.9999"])
def test_every_kind_is_read(kind, value):
    (found,) = read(json.dumps(HIT | {"kind": kind, "value": value, "click_id": HIT["id"]}).encode())
    assert found["kind"] == kind


@pytest.mark.parametrize("seq", [0, 9, 99_999_999, 123_456_789, 999_999_999_999_999_999])
@pytest.mark.parametrize("visitor", [0, 1, 12_345_678, 1 << 63, (1 << 64) - 1, 9_999_999_999_999_999_999])
def test_numbers_of_any_length(seq, visitor):
    (found,) = read(json.dumps(HIT | {"seq": seq, "visitor": visitor}).encode())
    assert (found["seq"], found["visitor"]) == (seq, visitor)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 63, 64])
def test_texts_of_any_length(length):
    name, agent = "a" * length, "é" * length
    (found,) = read(json.dumps(HIT | {"campaign": name, "user_agent": agent}, ensure_ascii=False).encode())
    assert (found["campaign"], found["user_agent"]) == (name, agent)


@pytest.mark.parametrize("before", [0, 1, 30, 31, 32, 62])
def test_every_letter_where_it_may_stand(before):
    line = b'{"creative":"%b","user_agent":"%b",' + json.dumps(HIT).encode()[1:]
    for letter in (bytes([each]) for each in range(128)):
        text = b"a" * before + letter + b"a"
        is_name = letter.islower() or letter.isdigit() or (letter in b"._-" and before > 0)
        assert (read(line % (text, b"x"))[0] is not None) == is_name
        assert (read(line % (b"x", text))[0] is not None) == (letter >= b" " and letter not in b'"\\')
