"""Verdicts: every combination of who, whence, what and why, against a naive recount written from docs/verdicts.md."""

import itertools
import json
import re
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import BROWSER

from pixeltally.settings import Settings
from streams import timing
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.head import Head, Rules
from streams.rules import BY_HISTORY, ORDER, RULES
from streams.tally import Tally

START_MS = 1_764_000_000_000

DOCS = Path(__file__).parents[2] / "docs" / "verdicts.md"

GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"

#: agent → what it is
AGENTS = {
    BROWSER: "browser",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "bot",
    "curl/8.5.0": "program",
    "": "none",
    GMAIL: "gmail",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html": "yahoo",
    "Mozilla/5.0": "apple",
}
#: address → whose
ADDRESSES = {
    "91.0.0.1": "home",
    "": "none",
    "192.0.2.9": "ours",
    "3.5.140.1": "host",
    "66.249.66.1": "crawler",
    "205.220.160.1": "scanner",
    "172.224.226.1": "relay",
    "165.225.0.1": "company",
}
KINDS = ("impression", "open", "view", "click", "conversion")
PURPOSES = ("", "prefetch", "prefetch;prerender", "preview", "Prefetchprefetch", "nonsense")


def expected(kind, who, whose, purpose):
    """The reasons in order, and the evidence, as the contract says."""
    mail = {"gmail": "proxy", "yahoo": "proxy", "apple": "machine"}.get(who) if kind == "open" else None
    reasons = []
    if whose == "ours":
        reasons.append("internal")
    if re.search("prefetch|prerender|preview", purpose, re.IGNORECASE):
        reasons.append("prefetch")
    if not mail:
        if who in ("bot", "gmail", "yahoo") or whose in ("crawler", "scanner"):
            reasons.append("bot")
        if who in ("program", "apple") or (who == "none" and whose != "none"):
            reasons.append("non-browser")
        if whose == "host":
            reasons.append("datacenter")
    elif who == "none" and whose != "none":
        reasons.append("non-browser")
    evidence = ""
    if kind == "open":
        evidence = mail or ("machine" if set(reasons) - {"internal"} else "probable")
    return reasons, evidence


@pytest.fixture(scope="module")
def enricher():
    return Enricher(Settings.from_env({"PIXELTALLY_INTERNAL": "192.0.2.0/28"}))


def test_every_combination(enricher):
    rows = list(itertools.product(KINDS, AGENTS, ADDRESSES, PURPOSES))
    kinds, agents, addresses, purposes = zip(*rows, strict=True)
    found = enricher.judge_all(kinds, addresses, agents, purposes)
    for (kind, agent, address, purpose), ruling in zip(rows, found, strict=True):
        reasons, evidence = expected(kind, AGENTS[agent], ADDRESSES[address], purpose)
        assert (list(ruling.reasons), ruling.evidence) == (reasons, evidence), (kind, agent, address, purpose)
        assert ruling.verdict == (reasons[0] if reasons else "valid")


def message(rows):
    """A message of hits with these (kind, agent, address, purpose)."""
    hit = {"ts": START_MS, "advertiser": "acme", "campaign": "spring", "node": "n"}
    lines = []
    for seq, (kind, agent, address, purpose) in enumerate(rows):
        told = {"id": str(uuid.UUID(int=seq)), "kind": kind, "seq": seq, "visitor": seq + 1, "ip": address}
        lines.append(json.dumps({**hit, **told, "user_agent": agent, "purpose": purpose}).encode())
    return b"\n".join(lines)


def facts(enricher, rows):
    """What a tally says of them."""
    [(batch, dead)] = parse(enricher, [Message(0, 0, START_MS, message(rows))])
    assert not dead
    rules = Rules(duplicate_window_ms=60_000, attribution_window_ms=60_000, lateness_ms=60_000)
    return list(map(json.loads, Tally(0, rules, enricher, Head(-1, 0, 0)).apply(batch).facts.splitlines()))


def test_one_at_a_time_and_by_columns_are_judged_like_in_a_message(enricher):
    rows = list(itertools.product(KINDS, AGENTS, ADDRESSES, PURPOSES))[::7]
    together = enricher.judge_all(*zip(*[(kind, ip, agent, purpose) for kind, agent, ip, purpose in rows], strict=True))
    told = facts(enricher, rows)
    for (kind, agent, ip, purpose), ruling, fact in zip(rows, together, told, strict=True):
        assert enricher.judge_all([kind], [ip], [agent], [purpose]) == [ruling]
        assert (fact["verdict"], tuple(fact.get("reasons", ())), fact.get("evidence", "")) == ruling


def test_what_is_put_into_a_fact_is_json_that_says_the_same(enricher):
    bot, person = facts(
        enricher, [("open", "curl/8", "3.5.140.1", "prefetch"), ("impression", BROWSER, "91.0.0.1", "")]
    )
    assert bot.items() >= {
        "country": "KR", "asn": 16509, "isp": "Amazon.com, Inc.", "browser": "curl",
        "verdict": "prefetch", "reasons": ["prefetch", "non-browser", "datacenter"], "evidence": "machine",
        "rules_version": enricher.version(), "version": 0,
    }.items()  # fmt: skip
    assert not {"os", "device", "duplicate"} & bot.keys()
    assert person.items() >= {
        "country": "DE", "asn": 3320, "isp": "Deutsche Telekom AG",
        "browser": "Firefox", "os": "Linux", "device": "desktop",
        "verdict": "valid", "rules_version": enricher.version(), "version": 0,
    }.items()  # fmt: skip
    assert not {"reasons", "evidence", "duplicate"} & person.keys()


@given(st.lists(st.sampled_from(ORDER), max_size=6), st.sampled_from(ORDER))
def test_reasons_stand_in_one_fixed_order_however_they_were_found(enricher, reasons, one_more):
    ruling = enricher.judge.rule([*reasons, one_more], "")
    order = [
        "unregistered",
        "internal",
        "prefetch",
        "bot",
        "non-browser",
        "datacenter",
        "click-timing",
        "rate",
        "burst",
    ]
    assert list(ruling.reasons) == sorted({*reasons, one_more}, key=order.index)
    assert ruling.verdict == ruling.reasons[0]


def test_what_needs_history_is_what_a_request_alone_cannot_tell():
    assert {"unregistered", "click-timing", "rate", "burst"} == BY_HISTORY


def test_a_click_a_tenth_of_a_second_after_the_first_impression_is_possible():
    assert timing.too_soon(1_000_099, 1_000_000)
    assert not timing.too_soon(1_000_100, 1_000_000)
    assert timing.REASON in ORDER


def test_the_version_names_every_list_and_changes_with_the_internal_ranges(enricher):
    assert re.fullmatch(
        r"[0-9a-f]{8} cua[\d.]+ cd[\d.]+ isc[\d.]+ ua\d+ ipo\d{8} asn\d{8} geo\d{8} int[0-9a-f]{8}", enricher.version()
    )
    assert enricher.version() != Enricher(Settings.from_env({})).version()
    assert all(enricher.lists().values())


def test_every_rule_is_documented_with_its_version_and_source():
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d+) \| (.+?) \| (.+?) \| (.+?) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [
        (rule.name, str(rule.version), f"`{rule.reason}`" if rule.reason else "not recorded", rule.says, rule.source)
        for rule in RULES
    ]


def test_whoever_tries_the_pixel_out_at_home_is_counted_and_a_bot_is_not(enricher):
    local = ["127.0.0.1", "::1", "10.1.2.3", "203.0.113.7", "2001:db8::1", "fd00::1"]
    for agent in ("curl/8.5.0", "", "python-requests/2.32"):
        found = enricher.judge_all(["impression"] * len(local), local, [agent] * len(local), [""] * len(local))
        assert {ruling.verdict for ruling in found} == {"valid"}
        assert enricher.judge_all(["impression"], ["91.0.0.1"], [agent], [""])[0].verdict == "non-browser"
    bot = enricher.judge_all(["impression"], ["127.0.0.1"], ["Googlebot/2.1 (+http://www.google.com/bot.html)"], [""])
    assert bot[0].verdict == "bot"
