"""nginx as the front: the same traffic gives the same counts, and no rotation loses a line."""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from urllib.parse import unquote, urlencode

from nginx_front import nginx_front, require_nginx
from processes import answers, free_port, tier, wait_until
from topic_lines import consume

from ingest import nginx, spool, tail
from ingest.archived import Requests
from ingest.counting import Count, pieces
from ingest.packing import packer
from ingest.tail import Reader
from pixeltally import archive, topics
from pixeltally.keys import key_of
from pixeltally.settings import Settings
from pixeltally.signing import sign

#: nginx closes a connection after a thousand requests.
PER_CONNECTION = 500

SECRET = "of the tests"
TARGET = "https://shop.example/"


def link(unit):
    return f"/c/{unit}?{urlencode({'to': TARGET, 'k': sign(key_of(SECRET.encode()), unit, TARGET)})}"


AGENT = b"User-Agent: Mozilla/5.0 (X11; Linux)\r\n"

REQUESTS = [
    (b"GET", b"/p/acme/spring/banner.gif", AGENT),
    (b"GET", b"/p/acme/spring/banner/blog.png?s=anna&e=open&cb=1", AGENT + b"Referer: https://blog.example/a?b=c\r\n"),
    (b"GET", b"/p/acme/spring/banner/blog.gif?a=1&b=%C3%A9&b=2&c=x+y&empty=", AGENT),
    (b"GET", b"/p/acme/spring/banner.gif?e=melt", b""),
    (b"GET", b"/p/", b""),
    (b"GET", b"/p/UPPER/b/c.gif", b""),
    (b"GET", b"/p/a/b.gif", b""),
    (b"GET", b"/p/a/b/c.jpeg", b""),
    (b"GET", b"/p//a/b/c.gif", b""),
    (b"GET", b"/p/a/b/c/d/e.gif", b""),
    (b"GET", b"/p/%61/b/c.gif", b""),
    (b"GET", b"/p/a%2Fb/c.gif", b""),
    (b"GET", b"/p/%ff/%00/c.gif", b""),
    (b"GET", b"/p/a/b/%C3%A9.gif", b""),
    (b"GET", b"/p/a/b/c.gif?" + b"x" * 9000, b""),
    (b"GET", b"/p/a/b/c.gif?" + b"&".join(b"f%d=1" % n for n in range(60)), b""),
    (b"GET", b"/p/a/b/c.gif?s=%ff%fe&q=%22%5C%00%0A", b""),
    (b"GET", b"/p/a/b/c.gif", b'User-Agent: quote " backslash \\ tab \t end\r\n'),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"X-Forwarded-For: 203.0.113.7\r\n"),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"X-Forwarded-For: 10.0.0.1, 203.0.113.7, 127.0.0.1\r\n"),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"X-Forwarded-For: 2001:db8::7\r\n"),
    (b"GET", b"/p/a/b/c.gif", AGENT + b'Forwarded: for="[2001:db8::8]:99";proto=https\r\n'),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"X-Forwarded-For: 203.0.113.7\r\nForwarded: for=203.0.113.9\r\n"),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"X-Forwarded-For: nonsense\r\n"),
    (b"GET", b"/p/a/b/c.gif?s=anna", AGENT + b"Sec-GPC: 1\r\n"),
    (b"GET", b"/p/a/b/c.gif?s=anna", AGENT + b"DNT: 1\r\n"),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"Sec-Purpose: prefetch;prerender\r\nPurpose: prefetch\r\n"),
    (b"GET", b"/p/a/b/c.gif", AGENT + b"X-Moz: " + b"prefetch" * 20 + b"\r\n"),
    (b"HEAD", b"/p/a/b/c.gif", AGENT),
    (b"POST", b"/p/a/b/c.gif", b"Content-Length: 0\r\n"),
    (b"GET", link("acme/spring/banner").encode(), AGENT + b"X-Forwarded-For: 203.0.113.7\r\n"),
    (b"GET", link("acme/spring/banner").encode(), AGENT + b"Forwarded: for=203.0.113.8\r\n"),
    (b"GET", link("acme/spring/banner").encode(), AGENT + b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=4.3.2.1\r\n"),
    (b"GET", b"/c/acme/spring/banner?to=https://evil.example/&k=wrong", AGENT),
    (b"HEAD", link("acme/spring/banner").encode(), AGENT),
]


def exchange(port, method, target, headers):
    """(status, headers that matter, body) of one request, sent byte by byte as given."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(
            method + b" " + target + b" HTTP/1.1\r\nHost: ads.example\r\nConnection: close\r\n" + headers + b"\r\n"
        )
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    own = {"content-type", "cache-control", "expires", "allow", "access-control-allow-origin"}
    own |= {"cross-origin-resource-policy", "x-content-type-options", "last-modified", "etag"}
    pairs = [line.split(": ", 1) for line in lines]
    return int(status.split()[1]), {name.lower(): value for name, value in pairs if name.lower() in own}, body


def counted(servers, known):
    """What has been said of requests, ids, times and places aside, beyond the ids in `known`."""
    hits, dead = [
        [line for line in consume(servers, topic) if line["id"] not in known] for topic in (topics.HITS, topics.DEAD)
    ]
    known |= {line["id"] for line in hits + dead}
    found = Counter(
        json.dumps({name: value for name, value in hit.items() if name not in ("id", "ts", "node", "seq")})
        for hit in hits
    )
    for letter in dead:
        request = {
            name: value
            for name, value in json.loads(letter["line"]).items()
            if value and name not in ("time", "method")
        }
        request["uri"] = unquote(request["uri"])
        if request["uri"].startswith("/c/"):
            request = {"uri": request["uri"]}  # nginx hands it on as a proxy does
        found[letter["reason"], json.dumps(request, sort_keys=True)] += 1
    return found


@contextmanager
def ingest(data, broker, **environ):
    port = free_port()
    environ = {"PIXELTALLY_INGEST_PORT": str(port), "PIXELTALLY_KAFKA": broker, "PIXELTALLY_SECRET": SECRET, **environ}
    process = tier("ingest", data, **environ)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", process), "ingest", 30)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_either_front_answers_and_counts_the_same(tmp_path, start_broker):
    require_nginx()
    broker = start_broker(tmp_path / "broker")[1]
    data, known, told = tmp_path / "data", set(), []
    privacy = {"PIXELTALLY_GPC": "anonymous"}
    with (
        ingest(data, broker, PIXELTALLY_TRUSTED_PROXIES="127.0.0.1/32", **privacy) as flask,
        nginx_front(tmp_path / "nginx", data / "spool" / "nginx", flask, **privacy) as front,
    ):
        for port in (flask, front):
            answered = [exchange(port, *request) for request in REQUESTS]
            total = len([method for method, _, _ in REQUESTS if method == b"GET"])
            seen = Counter()

            def all_there(seen=seen):
                seen.update(counted(broker, known))
                return seen.total() >= total  # noqa: B023

            wait_until(all_there, f"{total} lines in Kafka", 20)
            told.append((answered, seen))
    (by_flask, flask_counts), (by_nginx, nginx_counts) = told
    assert flask_counts.total() == nginx_counts.total() == total
    assert sorted(map(str, nginx_counts - flask_counts)) == sorted(map(str, flask_counts - nginx_counts))
    for (method, target, _), ours, theirs in zip(REQUESTS, by_flask, by_nginx, strict=True):
        assert ours[0] == theirs[0], target
        if method != b"POST" and target.startswith(b"/p/"):
            assert ours[1] == theirs[1], target
            assert ours[2][:6] == theirs[2][:6]
        assert ours[1].get("allow") == theirs[1].get("allow")


def test_its_segments_are_archived_line_for_line(tmp_path, broker):
    require_nginx()
    data, root, filler, sent = tmp_path / "data", tmp_path / "archive", "x" * 900, 0
    settings = {"PIXELTALLY_ARCHIVE": str(root), "PIXELTALLY_SPOOL_MAX_BYTES": str(1 << 20)}
    with (
        ingest(data, broker, **settings) as flask,
        nginx_front(tmp_path / "nginx", data / "spool" / "archived-nginx", flask) as front,
    ):

        def archived():
            return [entry for entry, _ in archive.entries(root, "requests/archived-nginx")]

        while not archived():  # a segment is closed at 64 KiB, once nginx has left it
            assert exchange(front, b"GET", f"/p/acme/spring/banner.gif?n={sent}&{filler}".encode(), b"")[0] == 200
            sent += 1
            time.sleep(0.005)
            assert sent < 5000
        [entry, *_] = archived()
    said = {}
    for hit in consume(broker, topics.HITS):
        if hit["node"] == "archived-nginx" and hit["seq"] >> 40 == entry.number:
            said[hit["seq"]] = hit["params"]["n"]
    kept = dict(Requests(root).lines(entry))
    assert len(said) == entry.lines == sum(entry.account.answered) == sum(entry.account.spooled) > 60
    uris = {seq: json.loads(line)["uri"] for seq, line in kept.items()}
    assert uris == {seq: f"/p/acme/spring/banner.gif?n={number}&{filler}" for seq, number in said.items()}
    assert {int(number) for number in said.values()} <= set(range(sent))


def test_a_header_of_any_bytes_is_kept_as_text(tmp_path):
    require_nginx()
    node = tmp_path / "spool" / "nginx"
    odd = b"User-Agent: latin \xe9 utf \xc3\xa9 \\x22 \x7f\r\nReferer: \xff" + b"y" * 20_000 + b"\r\n"
    with nginx_front(tmp_path / "nginx", node, free_port()) as port:
        assert exchange(port, b"GET", b"/p/a/b/c.gif", odd)[0] == 200
    pack = packer(Settings.from_env({"PIXELTALLY_SECRET": SECRET}), 1)
    [(_, _, value)] = pack("nginx", Reader(node).read(1 << 20))
    hit = json.loads(value)
    assert hit["user_agent"] == "latin \ufffd utf é \\x22 \x7f"
    assert hit["referer"] == "\ufffd" + "y" * (16 * 1024 - 1)


def test_no_rotation_loses_a_line(tmp_path):
    require_nginx()
    node, stop, answered = tmp_path / "spool" / "nginx", threading.Event(), [0] * 4
    lines, reader = [], None

    def load(number, port):
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            for _ in range(PER_CONNECTION):
                connection.request("GET", f"/p/a/b/c.gif?n={number}-{answered[number]}")
                assert len(connection.getresponse().read()) == 43
                answered[number] += 1
                if stop.is_set():
                    break
            connection.close()

    with nginx_front(tmp_path / "nginx", node, free_port()) as port:
        threads = [threading.Thread(target=load, args=(number, port)) for number in range(len(answered))]
        for thread in threads:
            thread.start()
        reader, until = Reader(node), time.monotonic() + 8
        while time.monotonic() < until or reader.backlog_bytes():
            if time.monotonic() > until:
                stop.set()
            else:
                nginx.tend(node, 64 * 1024, False)
            lines += reader.read(1 << 16)
            reader.acknowledge(reader.position)
            for number in tail.finished(node, 0):
                spool.segment_path(node, number).unlink()
            assert time.monotonic() < until + 30
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        lines += reader.read(1 << 20)
    assert max(seq for seq, _ in lines) >> 40 > 4
    assert [seq for seq, _ in lines] == sorted({seq for seq, _ in lines})
    found = [json.loads(line)["uri"].partition("n=")[2].split("-") for _, line in lines]
    for number, count in enumerate(answered):
        places = [int(place) for who, place in found if int(who) == number]
        # Two of nginx's processes may be in different segments for a second: a connection's order holds.
        assert sorted(places, key=lambda place: place // PER_CONNECTION) == list(range(count))
    assert len(spool.segments(node)) <= 3


def test_what_a_full_spool_cannot_take_is_answered_and_numbered(tmp_path):
    require_nginx()
    node, lost = tmp_path / "spool" / "nginx", 0

    def count_lost():
        found = 0
        for _, path in nginx.lost_files(node):
            count = Count(1 << 62)
            for place, lines in pieces(path):
                count.add(place, lines)
            found += count.minutes.total()
            path.unlink()
        return found

    with nginx_front(tmp_path / "nginx", node, free_port()) as port:

        def send(gets):
            for method in [b"GET"] * gets + [b"HEAD"]:
                assert exchange(port, method, b"/p/a/b/c.gif", b"")[0] == 200

        send(2)
        for gets in (3, 4):  # the second goes to another file
            nginx.tend(node, 1 << 20, True)
            time.sleep(nginx.LOOKS_S + 0.2)
            send(gets)
            time.sleep(nginx.LOST_S - nginx.LOOKS_S)
            lost += count_lost()
        nginx.tend(node, 1 << 20, False)
        time.sleep(nginx.LOOKS_S + 0.2)
        send(5)
    lost += count_lost()
    assert lost == 7
    assert list(node.glob("lost-*")) == []
    pack, reader = packer(Settings.from_env({"PIXELTALLY_SECRET": SECRET}), 1), Reader(node)
    lines = [*reader.read(1 << 20), *reader.read(1 << 20)]
    assert len([hit for _, _, value in pack("nginx", lines) for hit in value.splitlines()]) == 2 + 5
