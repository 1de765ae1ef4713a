"""Rates facts that are in ClickHouse by today's rules, as a version of its own beside the first answer, which stays.

What needs a visitor's history (`rules.BY_HISTORY`: a rate, a click's timing) is not judged again: the reason is kept.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from pixeltally.errors import Refused
from streams.enrich import Enricher
from streams.rules import BY_HISTORY, Finding

#: A day's facts, as the enricher takes them: an address as text, empty where none is kept.
_FACTS = """
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, verdict, reasons, user_agent, purpose,
    if(ip = toIPv6('::'), '', replaceRegexpOne(toString(ip), '^::ffff:([0-9.]+)$', '\\\\1')) AS address
FROM facts FINAL
WHERE ts >= {start:DateTime64(3, 'UTC')} AND ts < {end:DateTime64(3, 'UTC')}
SETTINGS max_block_size = 50000, do_not_merge_across_partitions_select_final = 1
"""

#: What is kept of a fact as it is.
_KEPT = ("id", "ts", "kind", "advertiser", "campaign", "creative", "placement", "first_verdict")

_COLUMNS = (*_KEPT, "verdict", "reasons", "evidence", "rules_version")


def rerun(client: Client, enricher: Enricher, first: date, last: date) -> Counter[tuple[str, str]]:
    """Rate the facts of the days (UTC) from `first` to `last`; how many went from which verdict to which.

    Raises :class:`Refused` where the days are none, or the database is too old to take the answers.
    """
    if last < first:
        raise Refused(f"the last day, {last}, is before the first, {first}")
    if not client.command("EXISTS TABLE rerates"):
        raise Refused("the database has no table rerates yet: start `pixeltally sink`, which makes it")
    changes: Counter[tuple[str, str]] = Counter()
    for day in range((last - first).days + 1):
        bounds = {"start": first + timedelta(day), "end": first + timedelta(day + 1)}
        with client.query_column_block_stream(_FACTS, parameters=bounds) as blocks:
            for block in blocks:
                changes.update(_rate(client, enricher, block))
    return changes


def _rate(client: Client, enricher: Enricher, block: Sequence[Sequence[Any]]) -> list[tuple[str, str]]:
    *kept, reasons, agents, purposes, addresses = block
    kinds, verdicts = kept[2], kept[7]
    found = enricher.enrich(kinds, addresses, agents, purposes).findings
    findings = [_with_history(enricher, *each) for each in zip(found, verdicts, reasons, strict=True)]
    version = enricher.version()
    answers = [
        [finding.verdict for finding in findings],
        [finding.reasons for finding in findings],
        [finding.evidence for finding in findings],
        [version] * len(findings),
    ]
    client.insert("rerates", [*kept, *answers], column_names=_COLUMNS, column_oriented=True)
    return list(zip(verdicts, answers[0], strict=True))


def _with_history(enricher: Enricher, finding: Finding, verdict: str, reasons: Sequence[str]) -> Finding:
    for reason in BY_HISTORY.intersection((verdict, *reasons)):
        finding = enricher.judge.also(finding, reason)
    return finding
