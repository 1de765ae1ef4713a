-- Sets of visitors over quarter hours: any time zone's day, week or month is a union of them, and re-insertion
-- changes nothing.
CREATE TABLE IF NOT EXISTS reach_sets
(
    slice DateTime('UTC'),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    visitors AggregateFunction(uniqExact, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(slice)
ORDER BY (advertiser, campaign, creative, placement, slice);

CREATE MATERIALIZED VIEW IF NOT EXISTS reach_sets_fill TO reach_sets AS
SELECT
    toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign, creative, placement,
    uniqExactState(visitor) AS visitors
FROM facts
WHERE kind IN ('impression', 'open', 'view') AND verdict = 'valid' AND visitor != 0
GROUP BY slice, advertiser, campaign, creative, placement;

-- Impressions (valid), exact uniques and duplicates per period (day, week: ISO, month) in a time zone.
CREATE VIEW IF NOT EXISTS reach AS
SELECT
    start, advertiser, campaign, creative, placement,
    impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        toDate(dateTrunc({period:String}, minute, {tz:String})) AS start, advertiser, campaign, creative, placement,
        sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes GROUP BY ALL
) AS counts
LEFT JOIN
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser, campaign, creative, placement,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets GROUP BY ALL
) AS sets USING (start, advertiser, campaign, creative, placement)
WHERE throwIf({period:String} NOT IN ('day', 'week', 'month'), 'period is day, week or month') = 0;

CREATE VIEW IF NOT EXISTS campaign_reach AS
SELECT start, advertiser, campaign, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        toDate(dateTrunc({period:String}, minute, {tz:String})) AS start, advertiser, campaign,
        sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes GROUP BY ALL
) AS counts
LEFT JOIN
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser, campaign,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets GROUP BY ALL
) AS sets USING (start, advertiser, campaign)
WHERE throwIf({period:String} NOT IN ('day', 'week', 'month'), 'period is day, week or month') = 0;

CREATE VIEW IF NOT EXISTS advertiser_reach AS
SELECT start, advertiser, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        toDate(dateTrunc({period:String}, minute, {tz:String})) AS start, advertiser,
        sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes GROUP BY ALL
) AS counts
LEFT JOIN
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets GROUP BY ALL
) AS sets USING (start, advertiser)
WHERE throwIf({period:String} NOT IN ('day', 'week', 'month'), 'period is day, week or month') = 0;

-- Click-through rate per ad unit and minute: valid clicks ÷ valid impressions.
CREATE VIEW IF NOT EXISTS ctr AS
SELECT
    minute, advertiser, campaign, creative, placement,
    clicks, attributed_clicks, valid AS impressions, clicks / nullIf(valid, 0) AS ctr
FROM minutes;
