-- Minutes with a late hit, counted for good before their facts expire: see docs/privacy.md.
CREATE TABLE IF NOT EXISTS settled_minutes
(
    minute DateTime('UTC'),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    gross UInt64,
    invalid UInt64,
    duplicates UInt64,
    valid UInt64,
    uniques UInt64,
    clicks UInt64,
    attributed_clicks UInt64,
    conversions UInt64,
    revenue Decimal(38, 4),
    settled_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(settled_at)
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, advertiser, campaign, creative, placement);

-- Minutes with a late hit that are not settled, counted from facts: see 0002_minutes.sql.
CREATE VIEW IF NOT EXISTS recounted_minutes AS
WITH late_minutes AS
(
    SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows
    WHERE late AND (minute, advertiser, campaign, creative, placement) NOT IN
        (SELECT minute, advertiser, campaign, creative, placement FROM settled_minutes)
)
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

CREATE OR REPLACE VIEW minutes AS
SELECT
    minute, advertiser, campaign, creative, placement,
    sum(r.gross) AS gross, sum(r.invalid) AS invalid, sum(r.duplicates) AS duplicates, sum(r.valid) AS valid,
    sum(r.uniques) AS uniques, sum(r.clicks) AS clicks, sum(r.attributed_clicks) AS attributed_clicks,
    sum(r.conversions) AS conversions, sum(r.revenue) AS revenue
FROM minute_rows AS r FINAL
WHERE NOT late AND (minute, advertiser, campaign, creative, placement) NOT IN
    (SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late)
GROUP BY minute, advertiser, campaign, creative, placement
UNION ALL
SELECT * FROM recounted_minutes
UNION ALL
SELECT * EXCEPT settled_at FROM settled_minutes FINAL;
