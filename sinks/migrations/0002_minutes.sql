-- What each partition's window counted; the row with the highest version (last offset counted in) wins.
-- Rows with late = 1 only say that a hit came after its minute's close.
CREATE TABLE IF NOT EXISTS minute_rows
(
    minute DateTime('UTC'),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    `partition` UInt32,
    late Bool,
    version UInt64,
    gross UInt64,
    invalid UInt64,
    duplicates UInt64,
    valid UInt64,
    uniques UInt64,
    clicks UInt64,
    attributed_clicks UInt64,
    conversions UInt64,
    revenue Decimal(38, 4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, advertiser, campaign, creative, placement, `partition`, late);

-- A partition holds whole visitors, so its exact counts add up. A minute with a late hit is recounted from facts, where
-- visitor 0 is nobody (a request that asked not to be known), and hits of ad units that are not counted stand under one
-- name, as streams tell them.
CREATE VIEW IF NOT EXISTS minutes AS
WITH late_minutes AS
(
    SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late
)
SELECT
    minute, advertiser, campaign, creative, placement,
    sum(r.gross) AS gross, sum(r.invalid) AS invalid, sum(r.duplicates) AS duplicates, sum(r.valid) AS valid,
    sum(r.uniques) AS uniques, sum(r.clicks) AS clicks, sum(r.attributed_clicks) AS attributed_clicks,
    sum(r.conversions) AS conversions, sum(r.revenue) AS revenue
FROM minute_rows AS r FINAL
WHERE NOT late AND (minute, advertiser, campaign, creative, placement) NOT IN late_minutes
GROUP BY minute, advertiser, campaign, creative, placement
UNION ALL
SELECT
    toStartOfMinute(ts)::DateTime('UTC') AS minute, advertiser, campaign, creative, placement,
    countIf(image) AS gross,
    countIf(image AND NOT duplicate AND verdict != 'valid') AS invalid,
    countIf(image AND duplicate) AS duplicates,
    countIf(image AND NOT duplicate AND verdict = 'valid') AS valid,
    uniqExactIf(visitor, image AND verdict = 'valid' AND visitor != 0) AS uniques,
    countIf(kind = 'click' AND counted) AS clicks,
    countIf(kind = 'click' AND counted AND impression_id != toUUID('00000000-0000-0000-0000-000000000000'))
        AS attributed_clicks,
    countIf(kind = 'conversion' AND counted) AS conversions,
    sumIf(value, kind = 'conversion' AND counted) AS revenue
FROM
(
    SELECT
        * REPLACE
        (
            if(verdict = 'unregistered', '~unregistered', advertiser) AS advertiser,
            if(verdict = 'unregistered', '~unregistered', campaign) AS campaign,
            if(verdict = 'unregistered', '~unregistered', creative) AS creative,
            if(verdict = 'unregistered', '', placement) AS placement
        ),
        kind IN ('impression', 'open', 'view') AS image, NOT duplicate AND verdict = 'valid' AS counted
    FROM facts FINAL
    WHERE ts >= (SELECT min(minute) FROM late_minutes) AND ts < (SELECT max(minute) FROM late_minutes) + 60
)
WHERE (toStartOfMinute(ts)::DateTime('UTC'), advertiser, campaign, creative, placement) IN late_minutes
GROUP BY minute, advertiser, campaign, creative, placement;
