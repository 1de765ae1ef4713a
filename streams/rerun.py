"""Rates facts that are in ClickHouse by today's rules, as a version of its own beside the first answer, which stays.

What needs a visitor's history (`rules.BY_HISTORY`: a rate, a click's timing) is not judged again: the reason is kept.
So are all reasons of a fact of which neither address nor agent is there (any more: `pixeltally forget`).
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from pixeltally.errors import Refused
from streams.enrich import Enricher
from streams.rules import BY_HISTORY, Judge, Ruling

#: A day's facts, as the enricher takes them: an address as text, empty where none is kept.
_FACTS = """
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, verdict, reasons, evidence, user_agent, purpose,
    if(ip = toIPv6('::'), '', replaceRegexpOne(toString(ip), '^::ffff:([0-9.]+)$', '\\\\1')) AS address
FROM facts FINAL
WHERE ts >= {start:DateTime64(3, 'UTC')} AND ts < {end:DateTime64(3, 'UTC')}
SETTINGS max_block_size = 50000, do_not_merge_across_partitions_select_final = 1
"""

#: Days that facts may be of.
_DAYS = date(1970, 1, 1), date(2105, 12, 31)

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
    if first < _DAYS[0] or last > _DAYS[1]:
        raise Refused(f"days are from {_DAYS[0]} to {_DAYS[1]}")
    for day in range((last - first).days + 1):
        bounds = {"start": first + timedelta(day), "end": first + timedelta(day + 1)}
        with client.query_column_block_stream(_FACTS, parameters=bounds) as blocks:
            for block in blocks:
                changes.update(_rate(client, enricher, block))
    return changes


def _rate(client: Client, enricher: Enricher, block: Sequence[Sequence[Any]]) -> list[tuple[str, str]]:
    *kept, reasons, evidences, agents, purposes, addresses = block
    kinds, verdicts = kept[2], kept[7]
    alone = enricher.judge_all(kinds, addresses, agents, purposes)
    rulings = [
        _with_history(enricher.judge, ruling, {verdict, *others})
        if address or agent
        else enricher.judge.rule({verdict, *others}, evidence)
        for ruling, verdict, others, evidence, address, agent in zip(
            alone, verdicts, reasons, evidences, addresses, agents, strict=True
        )
    ]
    answers: list[list[Any]] = [
        [ruling.verdict for ruling in rulings],
        [ruling.reasons for ruling in rulings],
        [ruling.evidence for ruling in rulings],
        [enricher.version()] * len(rulings),
    ]
    client.insert("rerates", [*kept, *answers], column_names=_COLUMNS, column_oriented=True)
    return [(before, ruling.verdict) for before, ruling in zip(verdicts, rulings, strict=True)]


def _with_history(judge: Judge, ruling: Ruling, reasons: set[str]) -> Ruling:
    history = BY_HISTORY & reasons
    return judge.rule((*ruling.reasons, *history), ruling.evidence) if history else ruling
