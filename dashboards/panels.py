"""The panels of the live page, each defined once; Grafana's boards (:mod:`dashboards.boards`) take some of them.

SQL reads the contract's views only and takes its time range from macros of Grafana's ClickHouse plugin, so the same
text runs in Grafana; :mod:`dashboards.macros` does here what the plugin does there.

Uniques never add up, neither over minutes nor over ad units: wherever a number of unique IPs stands, it was
counted over exactly the rows it speaks of.
"""

from dashboards.panel import Column, Panel

NEWEST = Panel(
    id="newest",
    title="Newest hit",
    description="When the newest impression or click was counted: how old the numbers are.",
    picture="stat",
    columns=(Column("newest", "Newest hit", "time"),),
    sql="""
SELECT nullIf(max(newest), fromUnixTimestamp64Milli(0)) AS newest
FROM
(
    SELECT max(ts) AS newest FROM impressions WHERE $__timeFilter(ts)
    UNION ALL
    SELECT max(ts) AS newest FROM clicks WHERE $__timeFilter(ts)
)
""",
)

TOTALS = Panel(
    id="totals",
    title="Key figures",
    description="Counted over the whole range, straight from the hits.",
    picture="stat",
    columns=(
        Column("impressions", "Impressions", note="valid, of {gross} requests"),
        Column("uniques", "Unique IPs", note="distinct over the whole range"),
        Column("ctr", "CTR", "ratio", note="{clicks} valid clicks ÷ {impressions} impressions"),
        Column("duplicates", "Duplicates", note="{duplicate_share} of {gross} requests"),
        Column("gross", "Requests", shown=False),
        Column("clicks", "Clicks", shown=False),
        Column("duplicate_share", "Share of requests", "ratio", shown=False),
    ),
    sql="""
SELECT
    impressions, uniques, clicks / nullIf(impressions, 0) AS ctr, duplicates,
    gross, clicks, duplicates / nullIf(gross, 0) AS duplicate_share
FROM
(
    SELECT
        count() AS gross,
        countIf(verdict = 'valid' AND NOT duplicate) AS impressions,
        uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS uniques,
        countIf(duplicate) AS duplicates
    FROM impressions WHERE $__timeFilter(ts)
) AS i,
(
    SELECT countIf(verdict = 'valid' AND NOT duplicate) AS clicks FROM clicks WHERE $__timeFilter(ts)
) AS c
""",
)

DEAD_LETTERS = Panel(
    id="dead-letters",
    title="Dead letters",
    description="Requests that could not be counted, kept with the reason.",
    picture="stat",
    columns=(
        Column("dead_letters", "Dead letters", note="not counted: {reasons}"),
        Column("reasons", "Reasons", "text", shown=False),
    ),
    sql="""
SELECT count() AS dead_letters, arrayStringConcat(arraySort(groupUniqArray(reason)), ', ') AS reasons
FROM (SELECT reason, fromUnixTimestamp64Milli(ts, 'UTC') AS found FROM dead_letters FINAL)
WHERE $__timeFilter(found)
""",
)

REACH = Panel(
    id="reach",
    title="Impressions and unique IPs",
    description="Per minute. Unique IPs of a minute are distinct within it, so minutes don't add up.",
    picture="series",
    columns=(
        Column("minute", "Minute", "time"),
        Column("impressions", "Impressions"),
        Column("uniques", "Unique IPs"),
    ),
    sql="""
SELECT
    toStartOfMinute(ts) AS minute,
    countIf(verdict = 'valid' AND NOT duplicate) AS impressions,
    uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS uniques
FROM impressions
WHERE $__timeFilter(ts)
GROUP BY minute
ORDER BY minute WITH FILL FROM toStartOfMinute($__fromTime) TO $__toTime STEP 60
""",
)

RESPONSE = Panel(
    id="response",
    title="Clicks and CTR",
    description="Per minute. CTR is valid clicks ÷ valid impressions of the same minute.",
    picture="series",
    columns=(
        Column("minute", "Minute", "time"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio"),
    ),
    sql="""
SELECT minute, clicks, clicks / nullIf(impressions, 0) AS ctr
FROM
(
    SELECT toStartOfMinute(ts) AS minute, countIf(verdict = 'valid' AND NOT duplicate) AS impressions
    FROM impressions WHERE $__timeFilter(ts) GROUP BY minute
) AS i
FULL JOIN
(
    SELECT toStartOfMinute(ts) AS minute, countIf(verdict = 'valid' AND NOT duplicate) AS clicks
    FROM clicks WHERE $__timeFilter(ts) GROUP BY minute
) AS c USING (minute)
ORDER BY minute WITH FILL FROM toStartOfMinute($__fromTime) TO $__toTime STEP 60
""",
)

DUPLICATES = Panel(
    id="duplicates",
    title="Duplicates",
    description="Per minute: requests that repeat a counted one of the same pixel and visitor too soon.",
    picture="series",
    columns=(
        Column("minute", "Minute", "time"),
        Column("duplicates", "Duplicates"),
        Column("share", "Share of requests", "ratio"),
    ),
    sql="""
SELECT
    toStartOfMinute(ts) AS minute,
    countIf(duplicate) AS duplicates,
    duplicates / nullIf(count(), 0) AS share
FROM impressions
WHERE $__timeFilter(ts)
GROUP BY minute
ORDER BY minute WITH FILL FROM toStartOfMinute($__fromTime) TO $__toTime STEP 60
""",
)

AD_UNITS = Panel(
    id="ad-units",
    title="Top ad units",
    description="By impressions over the range. One visitor may count in several ad units.",
    picture="table",
    columns=(
        Column("advertiser", "Advertiser", "text"),
        Column("campaign", "Campaign", "text"),
        Column("creative", "Creative", "text"),
        Column("placement", "Placement", "text"),
        Column("impressions", "Impressions"),
        Column("uniques", "Unique IPs"),
        Column("clicks", "Clicks"),
        Column("ctr", "CTR", "ratio"),
        Column("duplicates", "Duplicates"),
    ),
    sql="""
SELECT
    advertiser, campaign, creative, placement,
    impressions, uniques, clicks, clicks / nullIf(impressions, 0) AS ctr, duplicates
FROM
(
    SELECT
        advertiser, campaign, creative, placement,
        countIf(verdict = 'valid' AND NOT duplicate) AS impressions,
        uniqExactIf(visitor, verdict = 'valid' AND visitor != 0) AS uniques,
        countIf(duplicate) AS duplicates
    FROM impressions WHERE $__timeFilter(ts) GROUP BY ALL
) AS i
FULL JOIN
(
    SELECT
        advertiser, campaign, creative, placement,
        countIf(verdict = 'valid' AND NOT duplicate) AS clicks
    FROM clicks WHERE $__timeFilter(ts) GROUP BY ALL
) AS c USING (advertiser, campaign, creative, placement)
ORDER BY impressions DESC, clicks DESC, advertiser, campaign, creative, placement
LIMIT 20
""",
)

#: In the order that they are shown.
PANELS = (NEWEST, TOTALS, DEAD_LETTERS, REACH, RESPONSE, DUPLICATES, AD_UNITS)
