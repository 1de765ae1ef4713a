"""Verdicts in ClickHouse: what facts keep, how e-mails were opened, and judging again beside the first answer."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from click.testing import CliRunner
from clickhouse_connect.driver.client import Client
from facts import client, fact, insert, make_tables
from processes import BROWSER, start_clickhouse

from pixeltally.cli import main
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from streams.enrich import Enricher
from streams.rerun import rerun

NOON_MS = 1_764_072_000_000  # 2025-11-25 12:00 UTC
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        make_tables(server.url)
        yield server.url


def hit(campaign: str, ts_ms: int = NOON_MS, **values: Any) -> dict[str, Any]:
    return fact(ts_ms, campaign=campaign, **{"ip": "91.0.0.1", "user_agent": BROWSER, **values})


def rows(database: Client, query: str) -> list[Any]:
    return list(database.query(query).result_rows)


def test_a_fact_keeps_what_was_found(url: str) -> None:
    found = {
        "country": "DE", "asn": 3320, "isp": "Deutsche Telekom AG", "browser": "Chrome", "os": "Linux",
        "device": "desktop", "verdict": "prefetch", "reasons": ["prefetch", "bot"], "rules_version": "1 cua1",
    }  # fmt: skip
    insert(url, "facts_in", [hit("kept", purpose="prefetch", **found)])
    names = ", ".join(found)
    assert rows(client(url), f"SELECT {names} FROM impressions WHERE campaign = 'kept'") == [tuple(found.values())]
    assert rows(client(url), "SELECT purpose FROM facts WHERE campaign = 'kept'") == [("prefetch",)]


def test_an_open_is_confirmed_by_the_subscribers_valid_click(url: str) -> None:
    def opened(subscriber: str, evidence: str, campaign: str = "mail") -> dict[str, Any]:
        return hit(campaign, kind="open", subscriber=subscriber, evidence=evidence)

    def clicked(subscriber: str, verdict: str = "valid", campaign: str = "mail") -> dict[str, Any]:
        return hit(campaign, NOON_MS + 5 * DAY_MS, kind="click", subscriber=subscriber, verdict=verdict)

    lines = [
        opened("anna", "proxy"), clicked("anna"),
        opened("bert", "machine"),
        opened("cleo", "probable"), clicked("cleo", "bot"),
        opened("dora", "probable"), clicked("dora", campaign="other"),
        opened("", "probable"), clicked(""),
        opened("emil", "machine"), clicked("emil"), clicked("emil"),
    ]  # fmt: skip
    insert(url, "facts_in", lines + lines)
    found = rows(client(url), "SELECT subscriber, evidence FROM opens WHERE campaign = 'mail' ORDER BY 1")
    assert found == [
        ("", "probable"), ("anna", "confirmed"), ("bert", "machine"), ("cleo", "probable"), ("dora", "probable"),
        ("emil", "confirmed"),
    ]  # fmt: skip


HISTORY = [
    # (what is stored, first verdict, reasons; verdict and reasons now)
    ({}, "valid", [], "valid", []),
    ({"user_agent": "curl/8.5.0"}, "valid", [], "non-browser", ["non-browser"]),
    ({"ip": "3.5.140.1"}, "valid", [], "datacenter", ["datacenter"]),
    ({"ip": "2600:1f18::1"}, "valid", [], "datacenter", ["datacenter"]),
    ({"purpose": "prefetch"}, "valid", [], "prefetch", ["prefetch"]),
    ({}, "bot", ["bot"], "valid", []),
    ({}, "unregistered", [], "unregistered", ["unregistered"]),
    ({"user_agent": "curl/8.5.0"}, "rate", ["rate"], "non-browser", ["non-browser", "rate"]),
    ({"ip": "::", "user_agent": ""}, "valid", [], "valid", []),
    ({"ip": "::", "user_agent": ""}, "bot", ["bot", "datacenter"], "bot", ["bot", "datacenter"]),
    ({"kind": "open", "user_agent": "Mozilla/5.0", "ip": "3.5.140.1"}, "datacenter", ["datacenter"], "valid", []),
    ({"kind": "conversion", "order": "7", "ip": "::", "user_agent": ""}, "valid", [], "valid", []),
]


def test_facts_are_judged_again_beside_the_first_answer(url: str) -> None:
    lines = [hit("again", verdict=verdict, reasons=reasons, **values) for values, verdict, reasons, *_ in HISTORY]
    outside = [hit("again", NOON_MS + n * DAY_MS, user_agent="curl/8.5.0") for n in (-1, 1)]
    insert(url, "facts_in", lines + outside)
    database, enricher = client(url), Enricher(Settings.from_env({}))
    before = rows(database, "SELECT * FROM facts FINAL WHERE campaign = 'again' ORDER BY id")
    day = date(2025, 11, 25)
    counted = rerun(database, enricher, day, day)
    assert counted == rerun(database, enricher, day, day)
    assert counted["valid", "datacenter"] == 2
    assert counted.total() == rows(database, "SELECT count() FROM facts FINAL WHERE toDate(ts) = '2025-11-25'")[0][0]
    found = rows(
        database,
        "SELECT toString(id), first_verdict, verdict, reasons, rules_version FROM rerates FINAL"
        " WHERE campaign = 'again'",
    )
    assert sorted(found) == sorted(
        (line["id"], verdict, now, reasons, enricher.version())
        for line, (_, verdict, _, now, reasons) in zip(lines, HISTORY, strict=True)
    )
    assert rows(database, "SELECT * FROM facts FINAL WHERE campaign = 'again' ORDER BY id") == before


def test_other_rules_give_another_version_beside(url: str) -> None:
    insert(url, "facts_in", [hit("versions")])
    day = date(2025, 11, 25)
    for environ in ({}, {"PIXELTALLY_INTERNAL": "91.0.0.0/8"}):
        rerun(client(url), Enricher(Settings.from_env(environ)), day, day)
    found = rows(client(url), "SELECT verdict FROM rerates FINAL WHERE campaign = 'versions' ORDER BY rules_version")
    assert found == [("valid",), ("internal",)]


def test_the_command_prints_what_became_of_what(url: str) -> None:
    insert(url, "facts_in", [hit("told", NOON_MS + 30 * DAY_MS, user_agent="curl/8.5.0") for _ in range(1200)])
    days = ["--from", "2025-12-25", "--to", "2025-12-25"]
    ran = CliRunner().invoke(main, ["rules", "rerun", *days], env={"PIXELTALLY_CLICKHOUSE_URL": url})
    assert ran.exit_code == 0, ran.output
    assert [line.split() for line in ran.stdout.splitlines()[:2]] == [
        ["first", "now", "hits"],
        ["valid", "non-browser", "1,200"],
    ]
    wrong = CliRunner().invoke(
        main, ["rules", "rerun", "--from", "2025-12-26", "--to", "2025-12-25"], env={"PIXELTALLY_CLICKHOUSE_URL": url}
    )
    assert wrong.exit_code == 2
    late = CliRunner().invoke(
        main, ["rules", "rerun", "--from", "9999-12-31", "--to", "9999-12-31"], env={"PIXELTALLY_CLICKHOUSE_URL": url}
    )
    assert (late.exit_code, late.stderr) == (2, "pixeltally: days are from 1970-01-01 to 2105-12-31\n")


def test_a_database_from_before_is_refused(url: str) -> None:
    client(url, "default").command("CREATE DATABASE old")
    with pytest.raises(Refused, match="pixeltally sink"):
        rerun(client(url, "old"), Enricher(Settings.from_env({})), date(2025, 11, 25), date(2025, 11, 25))
