"""Network overview: the whole network at a glance, and who of it is large."""

from dashboards.boards.board import COUNTED, UNIQUES, Board, Place
from dashboards.panel import Column, Panel, Unit
from dashboards.panels import AD_UNITS

#: The range and, before it, one as long.
_BOTH = "ts >= $__fromTime - ($__toTime - $__fromTime) AND ts <= $__toTime"


def _key_figure(id: str, title: str, description: str, unit: Unit, now_and_before: str) -> Panel:
    """A figure and its change against the period before, of SQL that answers `now` and `before`."""
    return Panel(
        id=id,
        title=title,
        description=f"{description} Below: the change against the period before, as long as the range.",
        picture="stat",
        columns=(Column("now", title, unit), Column("change", "Change", "ratio")),
        sql=f"SELECT now, now / nullIf(before, 0) - 1 AS change\nFROM\n({now_and_before})\n",
    )


IMPRESSIONS = _key_figure(
    "network-impressions",
    "Impressions",
    "Valid requests for an image, without duplicates.",
    "count",
    f"""
    SELECT countIf({COUNTED} AND ts >= $__fromTime) AS now, countIf({COUNTED} AND ts < $__fromTime) AS before
    FROM impressions WHERE {_BOTH}
""",
)

UNIQUE_IPS = _key_figure(
    "network-uniques",
    "Unique IPs",
    "Distinct visitors over the whole range: the subscriber where the pixel names one, else the IP address.",
    "count",
    """
    SELECT
        uniqExactIf(visitor, ts >= $__fromTime) AS now, uniqExactIf(visitor, ts < $__fromTime) AS before
    FROM impressions
    WHERE """
    + _BOTH
    + """ AND verdict = 'valid' AND visitor != 0
""",
)

CTR = _key_figure(
    "network-ctr",
    "CTR",
    "Click-through rate: valid clicks ÷ valid impressions.",
    "ratio",
    f"""
    SELECT
        countIf(click AND ts >= $__fromTime) / nullIf(countIf(NOT click AND ts >= $__fromTime), 0) AS now,
        countIf(click AND ts < $__fromTime) / nullIf(countIf(NOT click AND ts < $__fromTime), 0) AS before
    FROM
    (
        SELECT ts, false AS click FROM impressions WHERE {_BOTH} AND {COUNTED}
        UNION ALL
        SELECT ts, true FROM clicks WHERE {_BOTH} AND {COUNTED}
    )
""",
)

CVR = _key_figure(
    "network-cvr",
    "CVR",
    "Conversion rate: conversions ÷ unique IPs.",
    "ratio",
    f"""
    SELECT
        orders_now / nullIf(uniques_now, 0) AS now, orders_before / nullIf(uniques_before, 0) AS before
    FROM
    (
        SELECT countIf(ts >= $__fromTime) AS orders_now, countIf(ts < $__fromTime) AS orders_before
        FROM conversions WHERE {_BOTH} AND {COUNTED}
    ) AS orders,
    (
        SELECT
            uniqExactIf(visitor, ts >= $__fromTime) AS uniques_now,
            uniqExactIf(visitor, ts < $__fromTime) AS uniques_before
        FROM impressions WHERE {_BOTH} AND verdict = 'valid' AND visitor != 0
    ) AS visitors
""",
)

TREND = Panel(
    id="network-trend",
    title="Impressions and unique IPs",
    description="Unique IPs are distinct within each bar, so bars don't add up.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("impressions", "Impressions"), Column("uniques", "Unique IPs")),
    sql=f"""
SELECT $__timeInterval(ts) AS time, countIf({COUNTED}) AS impressions, {UNIQUES} AS uniques
FROM impressions
WHERE $__timeFilter(ts)
GROUP BY time
ORDER BY time
""",
)

RATES = Panel(
    id="network-rates",
    title="CTR",
    description="Valid clicks ÷ valid impressions of the same moment.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("ctr", "CTR", "ratio")),
    sql="""
SELECT $__timeInterval(minute) AS time, sum(clicks) / nullIf(sum(valid), 0) AS ctr
FROM minutes
WHERE $__timeFilter(minute)
GROUP BY time
ORDER BY time
""",
)

ADVERTISERS = Panel(
    id="network-advertisers",
    title="Top advertisers",
    description="By impressions over the range. One visitor may count with several advertisers.",
    picture="table",
    columns=(
        Column("advertiser", "Advertiser", "text", link="pixeltally-campaign"),
        Column("impressions", "Impressions"),
        Column("uniques", "Unique IPs"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio"),
        Column("conversions", "Conversions"),
        Column("cvr", "CVR", "ratio"),
        Column("invalid_share", "Invalid", "ratio", warn=0.2, alarm=0.5),
    ),
    sql=f"""
SELECT
    advertiser, sum(i.impressions) AS impressions, sum(i.uniques) AS uniques, sum(i.clicks) AS clicks,
    sum(i.clicks) / nullIf(sum(i.impressions), 0) AS ctr, sum(i.conversions) AS conversions,
    sum(i.conversions) / nullIf(sum(i.uniques), 0) AS cvr,
    sum(i.invalid) / nullIf(sum(i.gross), 0) AS invalid_share
FROM
(
    SELECT
        advertiser, countIf({COUNTED}) AS impressions, {UNIQUES} AS uniques, 0 AS clicks, 0 AS conversions,
        countIf(verdict != 'valid' AND NOT duplicate) AS invalid, count() AS gross
    FROM impressions WHERE $__timeFilter(ts) GROUP BY advertiser
    UNION ALL
    SELECT advertiser, 0, 0, count(), 0, 0, 0
    FROM clicks WHERE $__timeFilter(ts) AND {COUNTED} GROUP BY advertiser
    UNION ALL
    SELECT advertiser, 0, 0, 0, count(), 0, 0
    FROM conversions WHERE $__timeFilter(ts) AND {COUNTED} GROUP BY advertiser
) AS i
GROUP BY advertiser
ORDER BY impressions DESC, advertiser
LIMIT 50
""",
)

BOARD = Board(
    uid="pixeltally-network",
    title="Network overview",
    description="The whole network: what was seen, by how many, and what came of it.",
    places=(
        Place(IMPRESSIONS, 6, 5),
        Place(UNIQUE_IPS, 6, 5),
        Place(CTR, 6, 5),
        Place(CVR, 6, 5),
        Place(TREND, 16),
        Place(RATES, 8),
        Place(ADVERTISERS, 24, 10),
        Place(AD_UNITS, 24, 12),
    ),
    since="now-7d",
)
