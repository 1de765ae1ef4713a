"""A request is read as a hit, or refused for a named reason."""

import pytest

from ingest.reading import Uncountable, reader
from ingest.request import Request
from pixeltally.settings import Settings


def read(uri, environ=None, **fields):
    settings = Settings.from_env({"PIXELTALLY_SECRET": "s", **(environ or {})})
    request = Request(**{"time": 1_700_000_000.123, "uri": uri, "peer": "1.2.3.4", **fields})
    return reader(settings)(request, "node", 7)


def test_a_pixel_request_becomes_an_impression():
    hit = read("/p/acme/spring/banner/blog.gif?x=1&cb=99&s=&y=%C3%A9", user_agent="Mozilla", referer="https://r/")
    assert (hit.kind, hit.advertiser, hit.campaign, hit.creative, hit.placement) == (
        "impression", "acme", "spring", "banner", "blog",
    )  # fmt: skip
    assert hit.ts == 1_700_000_000_123
    assert hit.params == {"x": "1", "y": "é"}
    assert (hit.ip, hit.user_agent, hit.referer) == ("1.2.3.4", "Mozilla", "https://r/")
    assert (hit.node, hit.seq) == ("node", 7)


def test_what_a_request_says_it_is_for_is_kept_to_64_characters():
    assert read("/p/a/b/c.gif", purpose="prefetch;prerenderprefetch").purpose == "prefetch;prerenderprefetch"
    assert read("/p/a/b/c.gif", purpose="x" * 100).purpose == "x" * 64
    assert read("/p/a/b/c.gif").purpose == ""


@pytest.mark.parametrize(("event", "kind"), [("impression", "impression"), ("open", "open"), ("view", "view")])
def test_events(event, kind):
    assert read(f"/p/a/b/c.png?e={event}").kind == kind


def test_names_may_hold_dots_and_be_percent_encoded():
    hit = read("/p/a.b/c-d/%65.gif.gif")
    assert (hit.advertiser, hit.campaign, hit.creative) == ("a.b", "c-d", "e.gif")


def test_a_click_keeps_where_it_led():
    hit = read("/c/a/b/c?to=https%3A%2F%2Fx.example%2F&k=sig&s=anna&u=1")
    assert (hit.kind, hit.subscriber, hit.params) == ("click", "anna", {"to": "https://x.example/", "u": "1"})


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("/p/a/b.gif", "bad-name"),
        ("/p/a/b/c/d/e.gif", "bad-name"),
        ("/p/A/b/c.gif", "bad-name"),
        ("/p/a/b/c.jpg", "bad-name"),
        ("/p/a/b/c", "bad-name"),
        ("/p/a/b/" + "c" * 65 + ".gif", "bad-name"),
        ("/p/a/b/..gif", "bad-name"),
        ("/p/a/b/%00.gif", "bad-name"),
        ("/p/a/b/c%0a.gif", "bad-name"),
        ("/p/a/b/%ff.gif", "bad-name"),
        ("/x/a/b/c.gif", "unknown-path"),
        ("/p/a/b/c.gif?e=melt", "unknown-event"),
        ("/p/a/b/c.gif?" + "&".join(["x=1"] * 51), "too-many-fields"),
        ("/p/a/b/c.gif?x=" + "1" * 8192, "query-too-long"),
    ],
)
def test_what_cannot_be_counted_has_a_named_reason(uri, reason):
    with pytest.raises(Uncountable, match=f"^{reason}$"):
        read(uri)


def test_a_refused_request_keeps_its_reason():
    with pytest.raises(Uncountable, match="^bad-signature$"):
        read("/c/a/b/c", refused="bad-signature")


def test_without_an_address_only_a_subscriber_counts():
    assert read("/p/a/b/c.gif?s=anna", peer="unix:").ip == ""
    with pytest.raises(Uncountable, match="^no-address$"):
        read("/p/a/b/c.gif", peer="unix:")


def test_who_is_one_visitor():
    uri = "/p/a/b/c.gif"
    same = read(uri).visitor
    assert read("/p/a/b/d.gif").visitor == same
    assert read(uri, peer="::ffff:1.2.3.4").visitor == same
    assert read(uri, peer="1.2.3.5").visitor != same
    assert read(uri, user_agent="x").visitor == same
    by_agent = {"PIXELTALLY_VISITOR": "ip+ua"}
    assert read(uri, by_agent, user_agent="x").visitor != read(uri, by_agent, user_agent="y").visitor
    by_prefix = {"PIXELTALLY_IPV6_PREFIX": "64"}
    assert read(uri, by_prefix, peer="2001:db8::1").visitor == read(uri, by_prefix, peer="2001:db8::2").visitor
    anna = read(f"{uri}?s=anna").visitor
    assert read(f"{uri}?s=anna", peer="9.9.9.9").visitor == anna
    assert read(uri, peer="9.9.9.9").visitor != anna
