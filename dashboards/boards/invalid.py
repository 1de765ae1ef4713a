"""Invalid traffic: what was not counted, why, and whom it came from."""

from dashboards.boards.board import COUNTED, FILL, GAPS, OF_CAMPAIGN, Board, Place, counts
from dashboards.panel import Column, Panel

KEY_FIGURES = Panel(
    id="invalid-key-figures",
    title="Ledger",
    description="Requests = impressions + duplicates + invalid.",
    picture="stat",
    columns=(
        Column("gross", "Requests"),
        Column("valid", "Impressions"),
        Column("duplicates", "Duplicates"),
        Column("invalid", "Invalid"),
        Column("invalid_share", "Invalid share", "ratio", warn=0.2, alarm=0.5),
        Column("duplicate_share", "Duplicate share", "ratio", warn=0.2, alarm=0.5),
    ),
    sql=f"""
SELECT
    sum(c.gross) AS gross, sum(c.valid) AS valid, sum(c.duplicates) AS duplicates, sum(c.invalid) AS invalid,
    sum(c.invalid) / nullIf(sum(c.gross), 0) AS invalid_share,
    sum(c.duplicates) / nullIf(sum(c.gross), 0) AS duplicate_share
FROM {counts(OF_CAMPAIGN)}
""",
)

REASONS = Panel(
    id="invalid-reasons",
    title="Requests by outcome",
    description="Every request has one outcome: counted, a duplicate, or the first reason why it is invalid.",
    picture="table",
    columns=(
        Column("outcome", "Outcome", "text"),
        Column("requests", "Requests", shaded=True),
        Column("share", "Share", "ratio"),
        Column("visitors", "Unique IPs"),
    ),
    sql=f"""
SELECT
    if(duplicate, 'duplicate', verdict) AS outcome, count() AS requests,
    requests / sum(count()) OVER () AS share, uniqExactIf(visitor, visitor != 0) AS visitors
FROM impressions
WHERE $__timeFilter(ts) AND {OF_CAMPAIGN}
GROUP BY outcome
ORDER BY requests DESC, outcome
""",
)

TREND = Panel(
    id="invalid-trend",
    title="Invalid and duplicate share",
    description="Of the requests of the same moment.",
    picture="series",
    columns=(
        Column("time", "Time", "time"),
        Column("invalid_share", "Invalid share", "ratio", warn=0.2, alarm=0.5),
        Column("duplicate_share", "Duplicate share", "ratio"),
    ),
    sql=f"""
SELECT
    $__timeInterval(start) AS time, sum(invalid) / nullIf(sum(gross), 0) AS invalid_share,
    sum(duplicates) / nullIf(sum(gross), 0) AS duplicate_share
FROM {counts(OF_CAMPAIGN, steps=True)}
GROUP BY time
ORDER BY time {FILL}
""",
)

REASONS_OVER_TIME = Panel(
    id="invalid-reasons-over-time",
    title="Invalid requests by reason",
    description="The first reason of each request; duplicates apart.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("reason", "Reason", "text"), Column("requests", "Requests")),
    sql=f"""
SELECT time, each.1 AS reason, sum(each.2) AS requests
FROM
(
    SELECT $__timeInterval(start) AS time, arrayJoin(CAST(reasons, 'Array(Tuple(String, UInt64))')) AS each
    FROM {counts(OF_CAMPAIGN, steps=True)}
)
GROUP BY time, reason
ORDER BY time, reason
""",
)

# Of addresses `uniqExact` hashes what it compares; numbers it takes as they are, in half the time.
PROVIDERS = Panel(
    id="invalid-providers",
    title="Suspicious providers",
    description="Internet providers with the most invalid requests and duplicates, from 10 of them on.",
    picture="table",
    columns=(
        Column("isp", "Provider", "text"),
        Column("asn", "AS", "text"),
        Column("requests", "Requests"),
        Column("invalid", "Invalid", shaded=True),
        Column("invalid_share", "Invalid share", "ratio", warn=0.2, alarm=0.5),
        Column("duplicates", "Duplicates"),
        Column("addresses", "IP addresses"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio"),
    ),
    sql=f"""
SELECT
    if(isp = '', 'unknown', isp) AS isp, toString(asn) AS asn,
    countIf(kind != 'click') AS requests,
    countIf(kind != 'click' AND verdict != 'valid' AND NOT duplicate) AS invalid,
    invalid / nullIf(requests, 0) AS invalid_share,
    countIf(kind != 'click' AND duplicate) AS duplicates,
    uniqExactIf(toUInt128(ip), kind != 'click') AS addresses,
    countIf(kind = 'click' AND {COUNTED}) AS clicks,
    clicks / nullIf(countIf(kind != 'click' AND {COUNTED}), 0) AS ctr
FROM
(
    SELECT kind, asn, isp, ip, verdict, duplicate FROM impressions WHERE $__timeFilter(ts) AND {OF_CAMPAIGN}
    UNION ALL
    SELECT kind, asn, isp, ip, verdict, duplicate FROM clicks WHERE $__timeFilter(ts) AND {OF_CAMPAIGN}
)
GROUP BY asn, isp
HAVING invalid + duplicates >= 10
ORDER BY invalid DESC, duplicates DESC, asn, isp
LIMIT 50
""",
)

REPEATERS = Panel(
    id="invalid-repeaters",
    title="Most repeated",
    description="Addresses with the most duplicates; shared ones (offices, mobile networks) rank high, too.",
    picture="table",
    columns=(
        Column("address", "IP address", "text"),
        Column("duplicates", "Duplicates", shaded=True),
        Column("requests", "Requests"),
        Column("units", "Ad units"),
        Column("last", "Last seen", "time"),
    ),
    sql=f"""
SELECT
    replaceOne(toString(ip), '::ffff:', '') AS address, countIf(duplicate) AS duplicates, count() AS requests,
    uniqExact(advertiser, campaign, creative, placement) AS units, max(ts) AS last
FROM impressions
WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND ip IN
(
    SELECT ip FROM impressions WHERE $__timeFilter(ts) AND {OF_CAMPAIGN} AND ip != toIPv6('::') AND duplicate
    GROUP BY ip ORDER BY count() DESC, ip LIMIT 50
)
GROUP BY ip
ORDER BY duplicates DESC, requests DESC, ip
""",
)

BOARD = Board(
    uid="pixeltally-invalid",
    title="Invalid traffic",
    description="What was not counted, why, and whom it came from.",
    places=(
        Place(KEY_FIGURES, 24, 4),
        Place(TREND, 12),
        Place(REASONS_OVER_TIME, 12),
        Place(REASONS, 10, 10),
        Place(PROVIDERS, 14, 10),
        Place(REPEATERS, 24, 10),
    ),
    scope=("advertiser", "campaign"),
    annotations=(GAPS,),
    refresh="5m",
    since="now-7d",
)
