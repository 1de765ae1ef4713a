"""What of a log is counted, and as what."""

import time

import pytest

from ingest.combined import parse
from ingest.log_judge import Left, judgement, page
from pixeltally.errors import Refused
from pixeltally.hit import Hit
from pixeltally.settings import Settings

NOW = time.time()
UNIT = "/p/acme/spring/banner/blog.gif?cb=1&x=2"


def judge(target=UNIT, *maps, method="GET", status=200, age_s=60.0, address="192.0.2.7", **environ):
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(NOW - age_s))
    settings = Settings.from_env(
        {"PIXELTALLY_SECRET": "s"} | {f"PIXELTALLY_{name}": value for name, value in environ.items()}
    )
    line = f'{address} - - [{stamp}] "{method} {target} HTTP/1.1" {status} 43 "https://r/" "Mozilla"'
    return judgement(settings, list(map(page, maps)), NOW)(parse(line), "node", 7)


def unit(hit):
    assert isinstance(hit, Hit), hit
    return hit.kind, hit.advertiser, hit.campaign, hit.creative, hit.placement


def test_a_pixel_is_counted_as_ingest_counts_it():
    hit = judge()
    assert unit(hit) == ("impression", "acme", "spring", "banner", "blog")
    assert (hit.ts, hit.ip, hit.user_agent, hit.referer) == (int(NOW - 60) * 1000, "192.0.2.7", "Mozilla", "https://r/")
    assert (hit.params, hit.node, hit.seq) == ({"x": "2"}, "node", 7)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/p/a/b/c.png?e=open", "open"),
        ("/i/a/b/c.jpg", "impression"),
        ("/c/a/b/c?to=https%3A%2F%2Fx.example&k=1", "click"),
        ("/v/a/b.gif?order=7&value=12.50&currency=EUR", "conversion"),
        ("/%70/a/b/c.gif", "impression"),
        ("https://t.example/p/a/b/c.gif", "impression"),
    ],
)
def test_every_kind_of_the_contracts_urls(target, kind):
    assert judge(target).kind == kind


@pytest.mark.parametrize("status", [200, 204, 206, 302, 304])
def test_answers_that_count(status):
    assert isinstance(judge(status=status), Hit)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"status": 404}, "status 404"),
        ({"status": 500}, "status 500"),
        ({"status": 101}, "status 101"),
        ({"method": "HEAD"}, "method HEAD"),
        ({"method": "POST"}, "method POST"),
        ({"method": "get"}, "unknown method"),
        ({"status": "000"}, "status 0"),
        ({"target": "/index.html"}, "path of no ad unit"),
        ({"target": "*"}, "path of no ad unit"),
    ],
)
def test_what_is_no_hit_is_none(options, why):
    assert judge(**options) == Left("other", why)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target": "/p/a/b.gif"}, "bad-name"),
        ({"target": "/p/a/b/c.gif?e=melt"}, "unknown-event"),
        ({"address": "host.example"}, "no-address"),
        ({"age_s": -90_000}, "its time is yet to come"),
        ({"age_s": 4e9, "RETENTION_DAYS": "0"}, "its time is before 1970"),
    ],
)
def test_what_should_be_a_hit_and_is_none_is_bad(options, why):
    left = judge(**options)
    assert left.kind == "bad"
    assert left.why.startswith(why)


def test_what_is_older_than_the_retention_is_refused():
    day = 86_400
    assert judge(age_s=401 * day) == Left("old", "older than PIXELTALLY_RETENTION_DAYS=400")
    assert isinstance(judge(age_s=399 * day), Hit)
    assert isinstance(judge(age_s=9000 * day, RETENTION_DAYS="0"), Hit)


BLOG = "/blog/*=acme/site/blog"


def test_pages_are_counted_as_views_of_the_first_unit_whose_glob_they_match():
    maps = ("/blog/2026-??-*=acme/site/blog/news", BLOG, "*=acme/site/rest")
    assert unit(judge("/blog/2026-10-24?s=x", *maps)) == ("view", "acme", "site", "blog", "news")
    assert unit(judge("/blog/a/b", *maps)) == ("view", "acme", "site", "blog", "")
    assert unit(judge("/", *maps)) == ("view", "acme", "site", "rest", "")
    assert unit(judge("/bl%6Fg/x", *maps)) == ("view", "acme", "site", "blog", "")
    hit = judge("/blog/a?s=anna&x=1", *maps)
    assert (hit.subscriber, hit.params) == ("", {"path": "/blog/a"}), "what a site asks of itself is not ours"
    assert hit.node != judge("/", *maps).node


def test_an_ad_units_url_goes_before_pages():
    assert judge(UNIT, "*=acme/site/all").kind == "impression"
    assert judge("/p/about", "/p/*=acme/site/all").kind == "view"


def test_a_page_that_led_elsewhere_was_not_seen():
    assert judge("/blog/a", BLOG, status=301) == Left("other", "status 301 of a page")
    assert isinstance(judge("/blog/a", BLOG, status=304), Hit)


def test_privacy_is_kept_as_ingest_keeps_it():
    whole = judge("/blog/a", BLOG, address="2001:db8:1:2::7")
    kept = judge("/blog/a", BLOG, address="2001:db8:1:2::7", STORE_IP="truncated")
    assert (kept.ip, kept.visitor) == ("2001:db8:1::", whole.visitor)
    assert judge(STORE_IP="none").ip == ""
    prefix = {"IPV6_PREFIX": "64"}
    assert judge(address="2001:db8::1", **prefix).visitor == judge(address="2001:db8::2", **prefix).visitor
    assert judge(VISITOR="ip+ua").visitor != judge().visitor


@pytest.mark.parametrize("text", ["", "a/b/c", "/blog/*", "/blog/*=a/b", "/blog/*=A/b/c", "blog=a/b/c", "=a/b/c"])
def test_a_map_that_is_none_is_refused(text):
    with pytest.raises(Refused, match="is not GLOB="):
        page(text)
