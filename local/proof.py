"""What ClickHouse holds of a demonstration, beside what was sent: is every hit there exactly once?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from local import recount
from local.recount import Sent
from local.sender import Tally
from local.traffic import ADVERTISER, Request

#: How long what was answered may take to reach ClickHouse before it is called missing, and how often to look.
ARRIVAL_S = 60.0
LOOK_S = 0.5

_OF_RUN = "WHERE advertiser = %(advertiser)s AND params['demo'] = %(run)s"
_COUNTED = """
SELECT count(), uniqExact(params['n']), uniqExact(ip), countIf(duplicate), countIf(verdict = 'valid' AND NOT duplicate)
"""
_ARRIVALS = "SELECT toUInt64(params['n']), toUnixTimestamp64Milli(ts)"


@dataclass(frozen=True)
class Counted:
    """What a view holds of a run."""

    hits: int
    distinct: int  #: of the numbers that the hits were sent with
    addresses: int
    duplicates: int
    valid: int  #: with verdict `valid`, and no duplicate

    def is_exactly(self, sent: int) -> bool:
        """Whether each of the `sent` hits is there once."""
        return self.hits == self.distinct == sent


@dataclass(frozen=True)
class Proof:
    """A run's counts, as sent and as counted."""

    sent: Sent
    impressions: Counted
    clicks: Counted
    expected_duplicates: int

    @property
    def holds(self) -> bool:
        """Whether every hit sent is counted exactly once."""
        return self.impressions.is_exactly(self.sent.impressions) and self.clicks.is_exactly(self.sent.clicks)


def prove(
    client: Client,
    run: str,
    requests: Sequence[Request],
    tally: Tally,
    *,
    window_ms: int,
    sleep: Callable[[float], bool],
) -> Proof | None:
    """Wait until ClickHouse holds all that was sent, or too long, and count.

    `requests` are those planned, by number, up to the last one taken. `sleep` says whether to stop: then
    there is no proof.
    """
    unsent = set(tally.unsent)
    sent = recount.sent(request for request in requests if request.n not in unsent)
    until = time.monotonic() + ARRIVAL_S
    while not sleep(LOOK_S):
        impressions, clicks = (_counted(client, view, run) for view in ("impressions", "clicks"))
        arrived = impressions.hits >= sent.impressions and clicks.hits >= sent.clicks
        if arrived or time.monotonic() > until:
            break
    else:
        return None
    expected = recount.duplicates(requests, _arrivals(client, "impressions", run), window_ms)
    return Proof(sent, impressions, clicks, expected)


def _counted(client: Client, view: str, run: str) -> Counted:
    return Counted(*client.query(f"{_COUNTED} FROM {view} {_OF_RUN}", _parameters(run)).result_rows[0])


def _arrivals(client: Client, view: str, run: str) -> list[tuple[int, int]]:
    sql = f"{_ARRIVALS} FROM {view} {_OF_RUN} AND verdict = 'valid' ORDER BY ts, id"
    return [(n, at_ms) for n, at_ms in client.query(sql, _parameters(run)).result_rows]


def _parameters(run: str) -> dict[str, str]:
    return {"advertiser": ADVERTISER, "run": run}


def summary(proof: Proof, tally: Tally, took_s: float, delays_s: Sequence[float]) -> str:
    """The proof as a table for people."""
    sent, seen, clicked = proof.sent, proof.impressions, proof.clicks
    lines = [
        f"{'':18}{'sent':>12}{'counted':>12}{'missing':>12}{'twice':>12}",
        _row("impressions", sent.impressions, seen),
        _row("clicks", sent.clicks, clicked),
        "",
        f"{'':18}{'expected':>12}{'counted':>12}",
        f"{'unique IPs':18}{sent.addresses:>12,}{seen.addresses:>12,}",
        f"{'duplicates':18}{proof.expected_duplicates:>12,}{seen.duplicates:>12,}",
        "",
        f"CTR           {_percent(clicked.valid, seen.valid)}  ({clicked.valid:,} valid clicks"
        f" / {seen.valid:,} valid impressions)",
        f"rate          {tally.sent / took_s:,.0f} hits/s over {took_s:.1f} s",
        f"freshness     {_freshness(delays_s)}",
    ]
    if tally.unknown:
        lines.append(f"unanswered    {len(tally.unknown):,} hits: they may or may not be counted")
    lines += [f"refused       {count:,} hits, by status {status}" for status, count in tally.refused.items()]
    verdict = "Every hit sent is counted exactly once." if proof.holds else "What was sent is NOT what was counted."
    return "\n".join([*lines, "", verdict])


def _row(name: str, sent: int, counted: Counted) -> str:
    missing, twice = sent - counted.distinct, counted.hits - counted.distinct
    return f"{name:18}{sent:>12,}{counted.hits:>12,}{missing:>12,}{twice:>12,}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.3%}" if whole else "none"


def _freshness(delays_s: Sequence[float]) -> str:
    if not delays_s:
        return "no hit became visible"
    p50, p99 = (recount.percentile(delays_s, percent) for percent in (50, 99))
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s from answer to visible in ClickHouse ({len(delays_s):,} samples)"
