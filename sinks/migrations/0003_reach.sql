-- Sets of visitors over quarter hours: any time zone's day, week or month is a union of them, and re-insertion
-- changes nothing.
CREATE TABLE reach_sets
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

CREATE MATERIALIZED VIEW reach_sets_fill TO reach_sets AS
SELECT
    toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign, creative, placement,
    uniqExactState(visitor) AS visitors
FROM facts
WHERE kind IN ('impression', 'open', 'view') AND verdict = 'valid'
GROUP BY slice, advertiser, campaign, creative, placement;

-- The first day, in a time zone, of the period that a moment lies in.
CREATE FUNCTION periodStart AS (moment, period) ->
    multiIf(
        period = 'day', toDate(moment),
        period = 'week', toMonday(moment),
        period = 'month', toStartOfMonth(moment),
        toDate(throwIf(1, 'period is day, week or month')));

-- Impressions (valid), exact uniques and duplicates per period (day, week: ISO, month) in a time zone.
CREATE VIEW reach AS
SELECT start, advertiser, campaign, creative, placement, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        periodStart(toTimeZone(minute, {tz:String}), {period:String}) AS start, advertiser, campaign, creative, placement,
        sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes GROUP BY ALL
) AS counts
LEFT JOIN
(
    SELECT
        periodStart(toTimeZone(slice, {tz:String}), {period:String}) AS start, advertiser, campaign, creative, placement,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets GROUP BY ALL
) AS sets USING (start, advertiser, campaign, creative, placement);

CREATE VIEW campaign_reach AS
SELECT start, advertiser, campaign, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        periodStart(toTimeZone(minute, {tz:String}), {period:String}) AS start, advertiser, campaign,
        sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes GROUP BY ALL
) AS counts
LEFT JOIN
(
    SELECT
        periodStart(toTimeZone(slice, {tz:String}), {period:String}) AS start, advertiser, campaign,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets GROUP BY ALL
) AS sets USING (start, advertiser, campaign);

CREATE VIEW advertiser_reach AS
SELECT start, advertiser, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        periodStart(toTimeZone(minute, {tz:String}), {period:String}) AS start, advertiser,
        sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes GROUP BY ALL
) AS counts
LEFT JOIN
(
    SELECT
        periodStart(toTimeZone(slice, {tz:String}), {period:String}) AS start, advertiser,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets GROUP BY ALL
) AS sets USING (start, advertiser);

-- Click-through rate per ad unit and minute: valid clicks ÷ valid impressions.
CREATE VIEW ctr AS
SELECT
    minute, advertiser, campaign, creative, placement,
    clicks, attributed_clicks, valid AS impressions, clicks / nullIf(valid, 0) AS ctr
FROM minutes;
