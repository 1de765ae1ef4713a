"""Lines of servers' logs are read as the requests that they were."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import combined, json_log
from ingest.logged import Unreadable

AT = datetime(2026, 10, 24, 12, 55, 36, tzinfo=UTC).timestamp()
LINE = '192.0.2.7 - - [24/Oct/2026:13:55:36 +0100] "GET /p/a/b/c.gif?cb=1 HTTP/1.1" 200 43 "https://r/" "Mozilla (X)"'


def read(line, parse=combined.parse):
    """(time, method, target, address, forwarded, status, referer, agent)."""
    found = parse(line)
    request = found.request
    return (
        request.time, request.method, request.uri, request.peer, request.forwarded_for, found.status, request.referer,
        request.user_agent,
    )  # fmt: skip


WHOLE = (AT, "GET", "/p/a/b/c.gif?cb=1", "192.0.2.7", "", 200, "https://r/", "Mozilla (X)")


def test_the_combined_log_format():
    assert read(LINE) == WHOLE


@pytest.mark.parametrize(
    ("changed", "place", "expected"),
    [
        (LINE.replace('"https://r/"', '"-"').replace('"Mozilla (X)"', '"-"'), slice(6, 8), ("", "")),
        (LINE.replace("192.0.2.7 -", "2001:db8::7 -"), 3, "2001:db8::7"),
        (LINE.replace("- - [", '- Frank "the tank" Mehl ['), slice(None), WHOLE),
        (LINE.replace("192.0.2.7 -", "www.acme.example:443 192.0.2.7 -"), slice(None), WHOLE),
        (LINE.replace("192.0.2.7 -", "10.0.0.5:443 192.0.2.7 -"), slice(None), WHOLE),
        (LINE.replace("192.0.2.7 - -", "192.0.2.7 10.0.0.5 -"), slice(None), WHOLE),
        (LINE + ' "198.51.100.9, 10.0.0.1"', 4, "198.51.100.9, 10.0.0.1"),
        (LINE + ' "-"', 4, ""),
        (LINE + ' 0.004 12 "x"', slice(None), WHOLE),
        (LINE.partition(' "https')[0], slice(5, 8), (200, "", "")),
        (LINE.replace("200 43", "302 -"), 5, 302),
        (LINE.replace("Mozilla (X)", r"M\"o\x22z\\illa"), 7, 'M"o"z\\illa'),
        (LINE.replace("Mozilla (X)", r"Mozill\xC3\xA4"), 7, "Mozillä"),
        (LINE.replace("Mozilla (X)", r"Mozillä \x22"), 7, 'Mozillä "'),
        (LINE.replace("Mozilla (X)", r"M\xff\t"), 7, "M\ufffd\t"),
        (LINE.replace("/p/a/b/c.gif?cb=1", r"/p/a/\x22b"), 2, '/p/a/"b'),
        (LINE.replace("/p/a/b/c.gif?cb=1", "/p/a b/c.gif"), 2, "/p/a b/c.gif"),
        (LINE.replace("/p/a/b/c.gif?cb=1", "/p/%e2%82%ac%22"), 2, "/p/%e2%82%ac%22"),
        (LINE.replace("/p/", "https://acme.example/p/"), slice(None), WHOLE),
        (LINE.replace("GET", "HEAD"), 1, "HEAD"),
        (LINE.replace("Mozilla (X)", "x" * 40_000), 7, "x" * 16_384),
    ],
)
def test_its_kin(changed, place, expected):
    assert read(changed)[place] == expected


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("24/Oct/2026:12:55:36 +0000", AT),
        ("24/Oct/2026:18:40:36 +0545", AT),
        ("24/Oct/2026:09:25:36 -0330", AT),
        ("25/Oct/2026:02:55:36 +1400", AT),
        ("29/Feb/2028:00:00:00 +0000", datetime(2028, 2, 29, tzinfo=UTC).timestamp()),
        ("31/Dec/2016:23:59:60 +0000", datetime(2017, 1, 1, tzinfo=UTC).timestamp()),
    ],
)
def test_times_in_any_zone(stamp, expected):
    assert read(LINE.replace("24/Oct/2026:13:55:36 +0100", stamp))[0] == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-",
        "GET / HTTP/1.1",
        LINE[:-30],
        LINE[20:],
        LINE.replace('"GET', "GET"),
        LINE.replace("GET /p/a/b/c.gif?cb=1 HTTP/1.1", r"\x16\x03\x01\x02"),
        LINE.replace("GET /p/a/b/c.gif?cb=1 HTTP/1.1", "-"),
        LINE.replace(" 200 ", " 2x0 "),
        LINE.replace(" 200 ", " +20 "),
        LINE.replace("24/Oct", "31/Feb"),
        LINE.replace("Oct", "Okt"),
        LINE.replace("13:55", "24:55"),
        LINE.replace("13:55", "13:65"),
        LINE.replace("13:55", "1³:55"),
        LINE.replace("+0100", "+2500"),
        LINE.replace("+0100", "+0175"),
        LINE.replace("+0100", "CET"),
        LINE.replace(" +0100", ""),
        LINE.replace("2026", "0000"),
        json.dumps({"request": LINE}),
    ],
)
def test_what_is_no_line_is_unreadable(line):
    with pytest.raises(Unreadable):
        combined.parse(line)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40),
    st.integers(0, len(LINE)),
    st.integers(0, 60),
)
def test_whatever_stands_in_a_line_it_is_read_or_unreadable(text, at, cut):
    for parse in (combined.parse, json_log.parse):
        for line in (text, LINE[:at] + text + LINE[at + cut :], json.dumps({"time": text, "uri": text})):
            try:
                found = parse(line)
            except Unreadable:
                continue
            assert isinstance(found.request.time, int | float)


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_nginx_escapes_is_what_was_sent(agent, referer):
    def escaped(text):
        raw = text.encode()
        return "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\x{c:02X}" for c in raw) or "-"

    line = f'192.0.2.7 - - [24/Oct/2026:13:55:36 +0100] "GET / HTTP/1.1" 200 1 "{escaped(referer)}" "{escaped(agent)}"'
    found = combined.parse(line).request
    assert (found.user_agent, found.referer) == tuple("" if text == "-" else text for text in (agent, referer))


NGINX = {
    "time_iso8601": "2026-10-24T13:55:36+01:00", "remote_addr": "192.0.2.7", "request_method": "GET",
    "request_uri": "/p/a/b/c.gif?cb=1", "status": "200", "http_referer": "https://r/", "http_user_agent": "Mozilla (X)",
}  # fmt: skip
CADDY = {
    "level": "info",
    "ts": AT,
    "logger": "http.log.access",
    "request": {
        "remote_ip": "192.0.2.7", "remote_port": "4711", "client_ip": "192.0.2.7", "proto": "HTTP/2.0", "method": "GET",
        "host": "t.example", "uri": "/p/a/b/c.gif?cb=1",
        "headers": {"User-Agent": ["Mozilla (X)"], "Referer": ["https://r/"], "Sec-Gpc": ["1"], "Purpose": ["x"]},
    },
    "status": 200,
}  # fmt: skip
TRAEFIK = {
    "ClientAddr": "192.0.2.7:4711", "ClientHost": "192.0.2.7", "DownstreamStatus": 200, "RequestMethod": "GET",
    "RequestPath": "/p/a/b/c.gif?cb=1", "StartUTC": "2026-10-24T12:55:36.000000000Z", "level": "info", "msg": "",
    "request_Referer": "https://r/", "request_User-Agent": "Mozilla (X)", "time": "2026-10-24T12:55:40Z",
}  # fmt: skip
ALB = {
    "type": "https", "time": "2026-10-24T12:55:36.000000Z", "client_ip": "192.0.2.7", "client_port": 4711,
    "elb_status_code": 200, "request_verb": "GET", "request_url": "https://t.example:443/p/a/b/c.gif?cb=1",
    "user_agent": "Mozilla (X)", "referer": "https://r/",
}  # fmt: skip
WHOLE_REQUEST = {
    "time_local": "24/Oct/2026:13:55:36 +0100", "remote_addr": "192.0.2.7", "request": "GET /p/a/b/c.gif?cb=1 HTTP/1.1",
    "status": 200, "http_referer": "https://r/", "http_user_agent": "Mozilla (X)", "http_x_forwarded_for": "-",
}  # fmt: skip
SPLIT = {
    "msec": str(AT), "remote_addr": "192.0.2.7", "uri": "/p/a/b/c.gif", "args": "cb=1", "status": 200,
    "http_referer": "https://r/", "http_user_agent": "Mozilla (X)",
}  # fmt: skip


@pytest.mark.parametrize("said", [NGINX, CADDY, TRAEFIK, ALB, WHOLE_REQUEST, SPLIT])
def test_json_logs_of_many_servers(said):
    assert read(json.dumps(said), json_log.parse) == WHOLE


def test_what_else_a_request_says_is_known_from_json():
    found = json_log.parse(json.dumps(CADDY)).request
    assert (found.gpc, found.purpose) == ("1", "x")


def test_a_status_that_is_not_said_is_none():
    without = {name: value for name, value in NGINX.items() if name != "status"}
    assert [read(json.dumps({**without, **more}), json_log.parse)[5] for more in ({}, {"status": 0})] == [None, 0]


def test_json_that_was_escaped_as_json_is_not():
    line = json.dumps(NGINX).replace("Mozilla (X)", r"M\x22\x5C\xC3\xA4")
    assert read(line, json_log.parse)[7].startswith('M"\\')


@pytest.mark.parametrize("value", [AT, int(AT * 1000) / 1000, AT * 1000, AT * 1e6, AT * 1e9, str(AT)])
def test_epoch_times_of_any_unit(value):
    assert read(json.dumps({**SPLIT, "msec": value}), json_log.parse)[0] == pytest.approx(AT, abs=0.001)


@pytest.mark.parametrize(
    "changed",
    [
        {"time_iso8601": "2026-10-24T13:55:36"},
        {"time_iso8601": "2026-10-24T13:55:36+23:00"},
        {"time_iso8601": "yesterday"},
        {"time_iso8601": None},
        {"time_iso8601": True},
        {"time_iso8601": "NaN"},
        {"time_iso8601": "inf"},
        {"request_uri": None},
        {"status": "ok"},
        {"status": 1000},
        {"status": True},
    ],
)
def test_json_that_lacks_what_a_request_must_have_is_unreadable(changed):
    with pytest.raises(Unreadable):
        json_log.parse(json.dumps({**NGINX, **changed}))


@pytest.mark.parametrize("line", ["", "[]", "7", "null", '{"time":', "{}"])
def test_what_is_no_json_object_is_unreadable(line):
    with pytest.raises(Unreadable):
        json_log.parse(line)
