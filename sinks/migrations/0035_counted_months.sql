-- Visitors of months of days at rest, how many by when they came, for any time zone: its months begin between 14
-- hours before those of UTC and 12 after. `inside`: in neither of these hours at the month's begin and end, so in the
-- month everywhere. Else by the last quarter hour of those at its begin with a visit (`last_early`, from 1; 0: none)
-- and the first of those at its end (`first_late`, from 0; 255: none). `whose`: of ad units, of campaigns or of
-- advertisers.
CREATE TABLE IF NOT EXISTS counted_visitors
(
    month Date,
    whose LowCardinality(String),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    inside Bool,
    last_early UInt8,
    first_late UInt8,
    visitors UInt64,
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
PARTITION BY toYear(month)
ORDER BY (whose, advertiser, campaign, creative, placement, month, inside, last_early, first_late);

-- Months of which all were counted.
CREATE TABLE IF NOT EXISTS counted_months
(
    month Date,
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY month;

-- Whether that still holds: nothing came since of any day that may be in them, or nothing is left to count again.
CREATE VIEW IF NOT EXISTS months AS
SELECT
    month, max(touched) AS touched, any(counted.as_of) AS as_of,
    as_of > touched OR as_of > 0 AND month - 1 <= (SELECT before FROM horizon) AS is_counted
FROM
(
    SELECT arrayJoin(arrayDistinct([toStartOfMonth(day - 1), toStartOfMonth(day + 1)])) AS month, touched FROM days
) AS touches
LEFT JOIN (SELECT * FROM counted_months FINAL) AS counted USING (month)
GROUP BY month;

-- As in 0003_reach.sql, with counts by quarter hours, and uniques of months that are counted.
CREATE OR REPLACE VIEW reach AS
WITH
    (SELECT groupArray((month, as_of)) FROM months WHERE is_counted) AS counted,
    day -> intDiv(toUnixTimestamp(toDateTime(day, {tz:String})) - toUnixTimestamp(toDateTime(day, 'UTC')) + 50400, 900)
        AS place
SELECT
    start, advertiser, campaign, creative, placement, impressions, uniques, duplicates,
    impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser, campaign, creative, placement,
        sum(valid) AS impressions, sum(part.duplicates) AS duplicates
    FROM slice_parts AS part
    GROUP BY start, advertiser, campaign, creative, placement
) AS counts
LEFT JOIN
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser, campaign, creative, placement,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE {period:String} != 'month' OR NOT has(counted.1, start)
    GROUP BY start, advertiser, campaign, creative, placement
    UNION ALL
    SELECT month AS start, advertiser, campaign, creative, placement, sum(c.visitors) AS uniques
    FROM counted_visitors AS c
    WHERE {period:String} = 'month' AND whose = 'ad unit'
        AND has(counted, (month, as_of))
        AND (inside OR last_early > place(month) OR first_late < place(addMonths(month, 1)))
    GROUP BY start, advertiser, campaign, creative, placement
) AS sets USING (start, advertiser, campaign, creative, placement)
WHERE throwIf({period:String} NOT IN ('day', 'week', 'month'), 'period is day, week or month') = 0;

CREATE OR REPLACE VIEW campaign_reach AS
WITH
    (SELECT groupArray((month, as_of)) FROM months WHERE is_counted) AS counted,
    day -> intDiv(toUnixTimestamp(toDateTime(day, {tz:String})) - toUnixTimestamp(toDateTime(day, 'UTC')) + 50400, 900)
        AS place
SELECT start, advertiser, campaign, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser, campaign,
        sum(valid) AS impressions, sum(part.duplicates) AS duplicates
    FROM slice_parts AS part
    GROUP BY start, advertiser, campaign
) AS counts
LEFT JOIN
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser, campaign,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE {period:String} != 'month' OR NOT has(counted.1, start)
    GROUP BY start, advertiser, campaign
    UNION ALL
    SELECT month AS start, advertiser, campaign, sum(c.visitors) AS uniques
    FROM counted_visitors AS c
    WHERE {period:String} = 'month' AND whose = 'campaign'
        AND has(counted, (month, as_of))
        AND (inside OR last_early > place(month) OR first_late < place(addMonths(month, 1)))
    GROUP BY start, advertiser, campaign
) AS sets USING (start, advertiser, campaign)
WHERE throwIf({period:String} NOT IN ('day', 'week', 'month'), 'period is day, week or month') = 0;

CREATE OR REPLACE VIEW advertiser_reach AS
WITH
    (SELECT groupArray((month, as_of)) FROM months WHERE is_counted) AS counted,
    day -> intDiv(toUnixTimestamp(toDateTime(day, {tz:String})) - toUnixTimestamp(toDateTime(day, 'UTC')) + 50400, 900)
        AS place
SELECT start, advertiser, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser,
        sum(valid) AS impressions, sum(part.duplicates) AS duplicates
    FROM slice_parts AS part
    GROUP BY start, advertiser
) AS counts
LEFT JOIN
(
    SELECT
        toDate(dateTrunc({period:String}, slice, {tz:String})) AS start, advertiser,
        uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE {period:String} != 'month' OR NOT has(counted.1, start)
    GROUP BY start, advertiser
    UNION ALL
    SELECT month AS start, advertiser, sum(c.visitors) AS uniques
    FROM counted_visitors AS c
    WHERE {period:String} = 'month' AND whose = 'advertiser'
        AND has(counted, (month, as_of))
        AND (inside OR last_early > place(month) OR first_late < place(addMonths(month, 1)))
    GROUP BY start, advertiser
) AS sets USING (start, advertiser)
WHERE throwIf({period:String} NOT IN ('day', 'week', 'month'), 'period is day, week or month') = 0;

-- As in 0018_reach_between.sql, with counts by quarter hours.
CREATE OR REPLACE VIEW reach_between AS
SELECT
    advertiser, campaign, creative, placement, impressions, uniques, duplicates,
    impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT advertiser, campaign, creative, placement, sum(valid) AS impressions, sum(part.duplicates) AS duplicates
    FROM slice_parts AS part
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign, creative, placement
) AS counts
LEFT JOIN
(
    SELECT advertiser, campaign, creative, placement, uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign, creative, placement
) AS sets USING (advertiser, campaign, creative, placement);

CREATE OR REPLACE VIEW campaign_reach_between AS
SELECT advertiser, campaign, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT advertiser, campaign, sum(valid) AS impressions, sum(part.duplicates) AS duplicates
    FROM slice_parts AS part
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign
) AS counts
LEFT JOIN
(
    SELECT advertiser, campaign, uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign
) AS sets USING (advertiser, campaign);

CREATE OR REPLACE VIEW advertiser_reach_between AS
SELECT advertiser, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT advertiser, sum(valid) AS impressions, sum(part.duplicates) AS duplicates
    FROM slice_parts AS part
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser
) AS counts
LEFT JOIN
(
    SELECT advertiser, uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser
) AS sets USING (advertiser);
