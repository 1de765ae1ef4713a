"""What ClickHouse holds of a demonstration, beside what was sent: is every hit there exactly once?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from local import recount
from local.recount import Sent
from local.sender import Tally
from local.traffic import ADVERTISER, Kind, Request

#: How long what was answered may take to reach ClickHouse before it is called missing, and how often to look.
ARRIVAL_S = 60.0
LOOK_S = 0.5

_OF_RUN = "WHERE advertiser = %(advertiser)s AND params['demo'] = %(run)s"
_COUNTED = "SELECT count(), uniqExact(params['n']), countIf(duplicate), countIf(verdict = 'valid' AND NOT duplicate)"
#: Where each kind is counted.
_KINDS: dict[Kind, str] = {
    "impression": f"{_COUNTED} FROM impressions {_OF_RUN} AND kind = 'impression'",
    "open": f"{_COUNTED} FROM impressions {_OF_RUN} AND kind = 'open'",
    "click": f"{_COUNTED} FROM clicks {_OF_RUN}",
    "conversion": f"{_COUNTED} FROM conversions {_OF_RUN}",
    "broken tag": "SELECT count(), uniqExact(extract(line, '&n=([0-9]+)')), 0, 0 FROM dead_letters FINAL"
    " WHERE reason = 'bad-name' AND position(line, concat('?demo=', %(run)s, '&')) > 0",
}
_VISITORS = f"SELECT uniqExact(visitor) FROM impressions {_OF_RUN}"  # noqa: S608  # of a constant
_ARRIVALS = f"""
SELECT toUInt64(params['n']), toUnixTimestamp64Milli(ts) FROM impressions
{_OF_RUN} AND verdict = 'valid' ORDER BY ts, id
"""  # noqa: S608  # of a constant


@dataclass(frozen=True)
class Counted:
    """What is there of a run's hits of one kind."""

    hits: int
    distinct: int  #: of the numbers that the hits were sent with
    duplicates: int
    valid: int  #: with verdict `valid`, and no duplicate


@dataclass(frozen=True)
class Proof:
    """A run's counts, as sent and as counted."""

    sent: Sent
    counted: dict[Kind, Counted]
    visitors: int
    expected_duplicates: int

    @property
    def holds(self) -> bool:
        """Whether every hit sent is counted exactly once."""
        return all(each.hits == each.distinct == self.sent.hits[kind] for kind, each in self.counted.items())


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
        counted = {kind: _counted(client, kind, run) for kind in _KINDS}
        arrived = all(each.hits >= sent.hits[kind] for kind, each in counted.items())
        if arrived or time.monotonic() > until:
            break
    else:
        return None
    [(visitors,)] = client.query(_VISITORS, _parameters(run)).result_rows
    arrivals: list[tuple[int, int]] = [(n, at_ms) for n, at_ms in client.query(_ARRIVALS, _parameters(run)).result_rows]
    return Proof(sent, counted, visitors, recount.duplicates(requests, arrivals, window_ms))


def _counted(client: Client, kind: Kind, run: str) -> Counted:
    return Counted(*client.query(_KINDS[kind], _parameters(run)).result_rows[0])


def _parameters(run: str) -> dict[str, str]:
    return {"advertiser": ADVERTISER, "run": run}


def summary(proof: Proof, tally: Tally, took_s: float, delays_s: Sequence[float]) -> str:
    """The proof as a table for people."""
    images, clicked = [proof.counted[kind] for kind in recount.IMAGES], proof.counted["click"].valid
    duplicates, seen = sum(each.duplicates for each in images), sum(each.valid for each in images)
    lines = [
        f"{'':18}{'sent':>12}{'counted':>12}{'missing':>12}{'twice':>12}",
        *(_row(f"{kind}s", proof.sent.hits[kind], each) for kind, each in proof.counted.items()),
        "",
        f"{'':18}{'expected':>12}{'counted':>12}",
        f"{'unique IPs':18}{proof.sent.visitors:>12,}{proof.visitors:>12,}",
        f"{'duplicates':18}{proof.expected_duplicates:>12,}{duplicates:>12,}",
        "",
        f"CTR           {_percent(clicked, seen)}  ({clicked:,} valid clicks / {seen:,} valid impressions and opens)",
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
