"""Network overview: the whole network at a glance, and who of it is large."""

from dashboards.boards.board import COUNTED, FILL, GAPS, UNIQUES, UNIT_NAME, Board, Place, counts
from dashboards.boards.money import SPEND
from dashboards.panel import Column, Panel

#: The range and, before it, one as long.
_BOTH = "ts >= $__fromTime - ($__toTime - $__fromTime) AND ts < toDateTime64($__toTime, 3)"
_NOW, _BEFORE = "ts >= $__fromTime", "ts < $__fromTime"

KEY_FIGURES = Panel(
    id="network-key-figures",
    title="Key figures",
    description="Over the whole range, and their change against the period before, as long as the range. CTR is valid"
    " clicks ÷ impressions, CVR conversions ÷ unique IPs.",
    picture="stat",
    columns=(
        Column("impressions", "Impressions", note="valid, of {gross} requests"),
        Column("impressions_change", "Impressions: change", "change"),
        Column("uniques", "Unique IPs", note="distinct over the whole range"),
        Column("uniques_change", "Unique IPs: change", "change"),
        Column("ctr", "CTR", "ratio", note="{clicks} valid clicks ÷ {impressions} impressions"),
        Column("ctr_change", "CTR: change", "change"),
        Column("cvr", "CVR", "ratio", note="{conversions} conversions ÷ {uniques} unique IPs"),
        Column("cvr_change", "CVR: change", "change"),
        Column("duplicates", "Duplicates", note="{duplicate_share} of {gross} requests"),
        Column("dead_letters", "Dead letters", warn=1, note="requests that can't be counted"),
        Column("gross", "Requests", shown=False),
        Column("clicks", "Clicks", shown=False),
        Column("conversions", "Conversions", shown=False),
        Column("duplicate_share", "Share of requests", "ratio", shown=False),
    ),
    sql=f"""
SELECT
    impressions, impressions / nullIf(impressions_before, 0) - 1 AS impressions_change,
    uniques, uniques / nullIf(uniques_before, 0) - 1 AS uniques_change,
    clicks / nullIf(impressions, 0) AS ctr,
    ctr / nullIf(clicks_before / nullIf(impressions_before, 0), 0) - 1 AS ctr_change,
    conversions / nullIf(uniques, 0) AS cvr,
    cvr / nullIf(conversions_before / nullIf(uniques_before, 0), 0) - 1 AS cvr_change,
    duplicates, dead_letters, gross, clicks, conversions, duplicates / nullIf(gross, 0) AS duplicate_share
FROM
(
    SELECT
        countIf({_NOW}) AS gross,
        countIf({_NOW} AND {COUNTED}) AS impressions,
        countIf({_BEFORE} AND {COUNTED}) AS impressions_before,
        uniqExactIf(visitor, {_NOW} AND verdict = 'valid' AND visitor != 0) AS uniques,
        uniqExactIf(visitor, {_BEFORE} AND verdict = 'valid' AND visitor != 0) AS uniques_before,
        countIf({_NOW} AND duplicate) AS duplicates
    FROM impressions WHERE {_BOTH}
) AS i,
(
    SELECT countIf({_NOW}) AS clicks, countIf({_BEFORE}) AS clicks_before FROM clicks WHERE {_BOTH} AND {COUNTED}
) AS c,
(
    SELECT countIf({_NOW}) AS conversions, countIf({_BEFORE}) AS conversions_before
    FROM conversions WHERE {_BOTH} AND {COUNTED}
) AS o,
(
    SELECT count() AS dead_letters FROM dead_letters FINAL
    WHERE ts >= toUnixTimestamp($__fromTime) * 1000 AND ts < toUnixTimestamp($__toTime) * 1000
) AS d
""",
)

REACH = Panel(
    id="network-reach",
    title="Impressions and unique IPs",
    description="Unique IPs are distinct within each moment, so moments don't add up.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("impressions", "Impressions"), Column("uniques", "Unique IPs")),
    sql=f"""
SELECT $__timeInterval(ts) AS time, countIf({COUNTED}) AS impressions, {UNIQUES} AS uniques
FROM impressions
WHERE $__timeFilter(ts)
GROUP BY time
ORDER BY time {FILL}
""",
)

RESPONSE = Panel(
    id="network-response",
    title="Clicks and CTR",
    description="CTR is valid clicks ÷ valid impressions of the same moment.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("clicks", "Clicks"), Column("ctr", "CTR", "ratio")),
    sql=f"""
SELECT $__timeInterval(start) AS time, sum(c.clicks) AS clicks, sum(c.clicks) / nullIf(sum(c.valid), 0) AS ctr
FROM {counts(steps=True)}
GROUP BY time
ORDER BY time {FILL}
""",
)

DUPLICATES = Panel(
    id="network-duplicates",
    title="Duplicates",
    description="Requests that repeat a counted one of the same pixel and visitor too soon.",
    picture="series",
    columns=(
        Column("time", "Time", "time"),
        Column("duplicates", "Duplicates"),
        Column("share", "Share of requests", "ratio"),
    ),
    sql=f"""
SELECT
    $__timeInterval(start) AS time, sum(c.duplicates) AS duplicates,
    sum(c.duplicates) / nullIf(sum(c.gross), 0) AS share
FROM {counts(steps=True)}
GROUP BY time
ORDER BY time {FILL}
""",
)

ADVERTISERS = Panel(
    id="network-advertisers",
    title="Top advertisers",
    description="By impressions over the range. One visitor may count with several advertisers.",
    picture="table",
    columns=(
        Column("advertiser", "Advertiser", "text", link="pixeltally-campaign"),
        Column("impressions", "Impressions", shaded=True),
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

AD_UNITS = Panel(
    id="network-ad-units",
    title="Top ad units",
    description="By impressions over the range. One visitor may count in several ad units.",
    picture="table",
    columns=(
        *UNIT_NAME,
        Column("impressions", "Impressions", shaded=True),
        Column("uniques", "Unique IPs"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio"),
        Column("duplicates", "Duplicates"),
    ),
    sql=f"""
SELECT
    advertiser, campaign, creative, placement, sum(u.impressions) AS impressions, sum(u.uniques) AS uniques,
    sum(u.clicks) AS clicks, sum(u.clicks) / nullIf(sum(u.impressions), 0) AS ctr, sum(u.duplicates) AS duplicates
FROM
(
    SELECT
        advertiser, campaign, creative, placement, countIf({COUNTED}) AS impressions, {UNIQUES} AS uniques,
        0 AS clicks, countIf(duplicate) AS duplicates
    FROM impressions WHERE $__timeFilter(ts)
    GROUP BY advertiser, campaign, creative, placement
    UNION ALL
    SELECT advertiser, campaign, creative, placement, 0, 0, count(), 0
    FROM clicks WHERE $__timeFilter(ts) AND {COUNTED}
    GROUP BY advertiser, campaign, creative, placement
) AS u
GROUP BY advertiser, campaign, creative, placement
ORDER BY impressions DESC, clicks DESC, advertiser, campaign, creative, placement
LIMIT 20
""",
)

BOARD = Board(
    uid="pixeltally-network",
    title="Network overview",
    description="The whole network: what was seen, by how many, and what came of it.",
    places=(
        Place(KEY_FIGURES, 24, 5),
        Place(REACH, 18),
        Place(SPEND, 6),
        Place(RESPONSE, 12),
        Place(DUPLICATES, 12),
        Place(ADVERTISERS, 24, 8),
        Place(AD_UNITS, 24, 12),
    ),
    annotations=(GAPS,),
    since="now-7d",
)
