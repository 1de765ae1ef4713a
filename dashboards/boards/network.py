"""Network overview: the whole network at a glance, and who of it is large."""

from dashboards.boards.board import FILL, GAPS, NAMED, RANGE, UNIT_NAME, Board, Place, counts, orders, reached
from dashboards.boards.money import SPEND
from dashboards.panel import Column, Panel

#: The range before, as long.
_BEFORE = ("$__fromTime - ($__toTime - $__fromTime)", "$__fromTime")


def _sums(span: tuple[str, str]) -> str:
    """Counts of a range, and its conversions, for a FROM."""
    return f"""
    SELECT *
    FROM
    (
        SELECT
            sum(r.gross) AS gross, sum(r.valid) AS impressions, sum(r.duplicates) AS duplicates,
            uniqExactArray(r.visitors) AS uniques, sum(r.clicks) AS clicks
        FROM {reached(span=span)}
    ) AS i,
    (SELECT count() AS conversions FROM {orders(span=span)}) AS o"""


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
    now.impressions AS impressions, now.impressions / nullIf(before.impressions, 0) - 1 AS impressions_change,
    now.uniques AS uniques, now.uniques / nullIf(before.uniques, 0) - 1 AS uniques_change,
    now.clicks / nullIf(now.impressions, 0) AS ctr,
    ctr / nullIf(before.clicks / nullIf(before.impressions, 0), 0) - 1 AS ctr_change,
    now.conversions / nullIf(now.uniques, 0) AS cvr,
    cvr / nullIf(before.conversions / nullIf(before.uniques, 0), 0) - 1 AS cvr_change,
    now.duplicates AS duplicates, dead_letters, now.gross AS gross, now.clicks AS clicks,
    now.conversions AS conversions, now.duplicates / nullIf(now.gross, 0) AS duplicate_share
FROM
({_sums(RANGE)}
) AS now,
({_sums(_BEFORE)}
) AS before,
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
SELECT $__timeInterval(start) AS time, sum(r.valid) AS impressions, uniqExactArray(r.visitors) AS uniques
FROM {reached(steps=True)}
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
        advertiser, sum(r.valid) AS impressions, uniqExactArray(r.visitors) AS uniques, sum(r.clicks) AS clicks,
        0 AS conversions, sum(r.invalid) AS invalid, sum(r.gross) AS gross
    FROM {reached(NAMED)} GROUP BY advertiser
    UNION ALL
    SELECT advertiser, 0, 0, 0, count(), 0, 0 FROM {orders()} GROUP BY advertiser
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
    advertiser, campaign, creative, placement, sum(r.valid) AS impressions, uniqExactArray(r.visitors) AS uniques,
    sum(r.clicks) AS clicks, clicks / nullIf(impressions, 0) AS ctr, sum(r.duplicates) AS duplicates
FROM {reached(NAMED)}
GROUP BY advertiser, campaign, creative, placement
HAVING sum(r.gross) > 0 OR clicks > 0
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
