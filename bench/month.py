"""A month's hits in a ClickHouse of its own, made there as streams and sink would have stored them."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from clickhouse_connect.driver.client import Client

from bench.processes import free_port, running
from bench.table import say
from pixeltally.database import DATABASE, connect
from pixeltally.settings import Settings
from sinks.migrate import migrate

DAYS = 30
#: Facts that one statement makes: it ends before clients give it up.
BATCH_ROWS = 1_000_000

#: 60 ad units of which a few are large, visitors of whom a few come often.
_FACTS = """
INSERT INTO facts
(
    id, ts, kind, advertiser, campaign, creative, placement, visitor, ip, country, asn, isp, user_agent, browser, os,
    device, referer, verdict, duplicate, evidence, node, seq, version, `order`, value, currency
)
WITH
    number + {first:UInt64} AS n, cityHash64(n) AS a, cityHash64(n, 1) AS b, cityHash64(n, 2) AS c,
    multiIf(a % 1000 < 15, 'click', a % 1000 < 17, 'conversion', a % 1000 < 120, 'open', 'impression') AS what,
    toUInt64(pow(b % 1000003 / 1000003, 2) * 3000000) + 1 AS who, toUInt32(pow(c % 100003 / 100003, 3) * 60) AS unit
SELECT
    generateUUIDv4(), toDateTime64({start:Float64} + n * {step_s:Float64}, 3, 'UTC'), what,
    concat('advertiser-', toString(unit % 6)), concat('campaign-', toString(intDiv(unit, 6) % 3)),
    if(what = 'conversion', '', concat('creative-', toString(intDiv(unit, 18)))),
    if(what = 'conversion' OR unit % 5 < 3, '', 'news'), who, toIPv6(IPv4NumToString(toUInt32(who * 7919))),
    ['DE', 'FR', 'US', 'GB', 'AT', 'CH', 'ES', 'IT', 'PL', 'BR', 'IN', 'JP', ''][1 + who % 13], 64500 + who % 300,
    concat('Provider ', toString(who % 300)), concat('Mozilla/5.0 agent ', toString(who % 500)), 'Firefox', 'Windows',
    ['desktop', 'phone', 'tablet', ''][1 + who % 4], concat('https://news.example/', toString(c % 50)),
    if(c % 100 < 8, ['bot', 'datacenter', 'prefetch', 'burst'][1 + c % 4], 'valid'), c % 100 BETWEEN 8 AND 12,
    if(what = 'open', ['probable', 'proxy', 'machine'][1 + c % 3], ''), concat('node-', toString(n % 2)), n, n,
    if(what = 'conversion', concat('o', toString(n)), ''), if(what = 'conversion', 12.5, 0), 'EUR'
FROM numbers({count:UInt64})
"""
_MINUTES = """
INSERT INTO minute_rows
(
    minute, advertiser, campaign, creative, placement, `partition`, version,
    gross, invalid, duplicates, valid, clicks, conversions, reasons
)
WITH kind IN ('impression', 'open', 'view') AS is_image, verdict = 'valid' AND NOT duplicate AS is_counted
SELECT
    toStartOfMinute(ts) AS minute, advertiser, campaign, creative, placement, visitor % 4 AS part, max(version),
    countIf(is_image), countIf(is_image AND verdict != 'valid' AND NOT duplicate), countIf(is_image AND duplicate),
    countIf(is_image AND is_counted), countIf(kind = 'click' AND is_counted),
    countIf(kind = 'conversion' AND is_counted),
    sumMapIf(map(verdict, 1), is_image AND verdict != 'valid' AND NOT duplicate)
FROM facts
WHERE toDate(ts) = {day:Date}
GROUP BY minute, advertiser, campaign, creative, placement, part
"""

#: What they cost: half of the campaigns by unique IPs, which takes longest to count; each with a plan.
_TERMS = """
INSERT INTO terms_set
SELECT
    advertiser, campaign, '1970-01-01', 0, 'Europe/Berlin', 'cpm', if(cityHash64(campaign) % 2, 'unique', 'valid'),
    10, 'EUR', 5000, today() - 20, today() + 10, now64(3)
FROM (SELECT DISTINCT advertiser, campaign FROM facts)
"""


@contextmanager
def site(data: Path) -> Iterator[Settings]:
    """`pixeltally clickhouse` and `pixeltally live`, until the block ends."""
    environ = {
        "PIXELTALLY_DATA": str(data),
        "PIXELTALLY_CLICKHOUSE_PORT": str(free_port()),
        "PIXELTALLY_LIVE_PORT": str(free_port()),
    }
    settings = Settings.from_env(environ)
    tiers = [[sys.executable, "-m", "pixeltally", name] for name in ("clickhouse", "live")]
    with ExitStack() as stack:
        log = stack.enter_context((data / "log").open("wb"))
        started = [stack.enter_context(running(tier, os.environ | environ, log=log)) for tier in tiers]
        for address in (f"{settings.clickhouse}/ping", f"{settings.live}/healthz"):
            while not _answers(address):
                if any(each.poll() is not None for each in started):
                    sys.exit((data / "log").read_text())
                time.sleep(0.1)
        yield settings


def _answers(address: str) -> bool:
    try:
        urlopen(address, timeout=5).close()  # noqa: S310
    except (URLError, ConnectionError):
        return False
    return True


def fill(settings: Settings, rows: int) -> Client:
    """A month's facts up to some minutes ahead, so that the newest are of now while they are looked at."""
    connect(settings, "default").command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    client = connect(settings)
    migrate(client)
    span = {"start": time.time() + 1200 - DAYS * 86_400, "step_s": DAYS * 86_400 / rows}
    for first in range(0, rows, BATCH_ROWS):
        say(f"making facts: {first:,}")
        client.command(_FACTS, parameters=span | {"first": first, "count": min(BATCH_ROWS, rows - first)})
    for (day,) in client.query("SELECT DISTINCT toDate(ts) AS day FROM facts ORDER BY day").result_rows:
        say(f"making minutes: {day}")
        client.command(_MINUTES, parameters={"day": day})
    client.command(_TERMS)
    return client
