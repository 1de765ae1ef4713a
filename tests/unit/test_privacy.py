"""What is kept of addresses, subscribers and of those who ask not to be known; and that counts stay the same."""

import json

import pytest
from ingesting import Ingest

from ingest.packing import packer
from ingest.redaction import redactor
from pixeltally import topics

ADDRESS, ADDRESS_6 = "198.51.100.77", "2001:db8:1:2:3::77"
PATH = "/p/a/b/c.gif?s=anna@example.org&x=1"
UNREADABLE = "/p/a/b/c.gif?e=melt&s=anna@example.org"


def asked(tmp_path, path, address=ADDRESS, headers=None, **environ):
    ingest = Ingest(tmp_path / "data", PIXELTALLY_SECRET="s", PIXELTALLY_TRUSTED_PROXIES="127.0.0.1", **environ)
    ingest.client.get(
        path,
        environ_base={"REMOTE_ADDR": "127.0.0.1"},
        headers={"X-Forwarded-For": address, "User-Agent": "Mozilla", "Referer": "https://r/", **(headers or {})},
    )
    return ingest


def hit(*arguments, **options):
    [found] = asked(*arguments, **options).read()
    return found


@pytest.mark.parametrize(
    ("how", "ip", "ip_6", "subscriber"),
    [
        ("full", ADDRESS, ADDRESS_6, "anna@example.org"),
        ("truncated", "198.51.100.0", "2001:db8:1::", "anna@example.org"),
        ("none", "", "", ""),
    ],
)
def test_what_is_kept_changes_no_count(tmp_path, how, ip, ip_6, subscriber):
    stored = {"PIXELTALLY_STORE_IP": how}
    known = hit(tmp_path, PATH, **stored)
    assert (known.ip, known.subscriber, known.params) == (ip, subscriber, {"x": "1"})
    assert known.visitor == hit(tmp_path, PATH).visitor
    for address, kept in ((ADDRESS, ip), (ADDRESS_6, ip_6)):
        found = hit(tmp_path, "/p/a/b/c.gif", address, **stored)
        assert found.ip == kept
        assert found.visitor == hit(tmp_path, "/p/a/b/c.gif", address).visitor
    assert hit(tmp_path, "/p/a/b/c.gif", "198.51.100.78", **stored).visitor != found.visitor


@pytest.mark.parametrize(
    ("how", "there", "gone"),
    [
        ("full", [ADDRESS, "anna"], []),
        ("truncated", ["198.51.100.0", "anna"], [ADDRESS]),
        ("none", ["e=melt&s=\u2026", "Mozilla"], [ADDRESS, "198.51.100", "127.0.0.1", "anna"]),
    ],
)
def test_a_dead_letter_holds_no_more_than_a_hit(tmp_path, how, there, gone):
    [line] = asked(tmp_path, UNREADABLE, PIXELTALLY_STORE_IP=how).redacted()
    assert json.loads(line)["uri"].startswith("/p/a/b/c.gif?e=melt&s=")
    assert all(text in line for text in there)
    assert not any(text in line for text in gone)


@pytest.mark.parametrize("path", ["/p/x?%73=anna", "/p/x?a=1&s=anna&b=2", "/p/x%3Fs=anna", "/x?s=an%6Ea;s=anna"])
def test_a_subscriber_is_taken_out_however_it_is_written(tmp_path, path):
    [line] = asked(tmp_path, path if path.startswith("/p") else f"/p{path}", PIXELTALLY_STORE_IP="none").redacted()
    assert "an" not in json.loads(line)["uri"]


def test_a_line_that_cannot_be_read_is_withheld_where_not_all_is_kept(tmp_path):
    torn = b'{"time":1,"peer":"198.51.100.77'
    assert "198.51" in redactor(Ingest(tmp_path / "data", PIXELTALLY_SECRET="s").settings)(torn)
    for name, value in (("STORE_IP", "truncated"), ("STORE_IP", "none"), ("GPC", "anonymous")):
        ingest = Ingest(tmp_path / "data", PIXELTALLY_SECRET="s", **{f"PIXELTALLY_{name}": value})
        assert "198.51" not in redactor(ingest.settings)(torn)


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_who_asks_not_to_be_known_is_counted_as_nobody_where_the_setting_says_so(tmp_path, header):
    assert hit(tmp_path, PATH, headers={header: "1"}).subscriber == "anna@example.org"
    anonymous = {"PIXELTALLY_GPC": "anonymous"}
    found = hit(tmp_path, PATH, headers={header: "1"}, **anonymous)
    assert (found.kind, found.creative, found.visitor) == ("impression", "c", 0)
    assert (found.ip, found.subscriber, found.user_agent, found.referer, found.params) == ("", "", "", "", {})
    assert hit(tmp_path, PATH, headers={header: "0"}, **anonymous).visitor != 0
    assert hit(tmp_path, PATH, **anonymous).visitor != 0
    [line] = asked(tmp_path, UNREADABLE, headers={header: "1"}, **anonymous).redacted()
    assert not any(text in line for text in (ADDRESS, "127.0.0.1", "anna", "Mozilla", "https://r/"))


def test_nobodys_conversion_keeps_its_order(tmp_path):
    path = "/v/a/b.gif?order=1&value=2.50&s=anna&x=1"
    found = hit(tmp_path, path, headers={"DNT": "1"}, PIXELTALLY_GPC="anonymous")
    assert (found.visitor, found.subscriber, found.order, found.value, found.params) == (0, "", "1", "2.50", {})


def test_nobody_is_counted_who_may_have_asked_not_to_be_known_where_nginx_did_not_look(tmp_path):
    line = b'{"time":1,"uri":"/p/a/b/c.gif","peer":"198.51.100.77","gpc_left_out":true}'
    for value, expected in (("ignore", "hit"), ("anonymous", "gpc-left-out")):
        settings = Ingest(tmp_path / "data", PIXELTALLY_SECRET="s", PIXELTALLY_GPC=value).settings
        [(topic, _, sent)] = packer(settings, 1)("nginx", [(1, line)])
        if expected == "hit":
            assert (topic, json.loads(sent)["ip"]) == (topics.HITS, "198.51.100.77")
        else:
            letter = json.loads(sent)
            assert (topic, letter["reason"]) == (topics.DEAD, expected)
            assert "198.51" not in letter["line"]
            assert json.loads(letter["line"])["gpc_left_out"]
