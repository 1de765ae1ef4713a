-- Minutes of ad units with a late hit.
CREATE TABLE IF NOT EXISTS late_minutes
(
    minute DateTime('UTC'),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String)
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(minute)
ORDER BY (minute, advertiser, campaign, creative, placement);

CREATE MATERIALIZED VIEW IF NOT EXISTS late_minutes_fill TO late_minutes AS
SELECT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late;

INSERT INTO late_minutes SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late;

-- As in 0014_reasons.sql, with these and no more columns of facts than are counted, so that it takes less to plan.
CREATE OR REPLACE VIEW recounted_minutes AS
WITH
    open_minutes AS
    (
        SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM late_minutes
        WHERE (minute, advertiser, campaign, creative, placement) NOT IN
            (SELECT minute, advertiser, campaign, creative, placement FROM settled_minutes)
    ),
    (SELECT (min(minute), max(minute)) FROM open_minutes) AS span
SELECT
    toStartOfMinute(ts)::DateTime('UTC') AS minute,
    if(verdict = 'unregistered', '~unregistered', f.advertiser) AS advertiser,
    if(verdict = 'unregistered', '~unregistered', f.campaign) AS campaign,
    if(verdict = 'unregistered', '~unregistered', f.creative) AS creative,
    if(verdict = 'unregistered', '', f.placement) AS placement,
    countIf(image) AS gross,
    countIf(image AND NOT duplicate AND verdict != 'valid') AS invalid,
    countIf(image AND duplicate) AS duplicates,
    countIf(image AND counted) AS valid,
    uniqExactIf(visitor, image AND verdict = 'valid' AND visitor != 0) AS uniques,
    countIf(kind = 'click' AND counted) AS clicks,
    countIf(kind = 'click' AND counted AND impression_id != toUUID('00000000-0000-0000-0000-000000000000'))
        AS attributed_clicks,
    countIf(kind = 'conversion' AND counted) AS conversions,
    sumIf(value, kind = 'conversion' AND counted) AS revenue,
    sumMapIf(map(verdict, 1::UInt64), image AND NOT duplicate AND verdict != 'valid') AS reasons
FROM
(
    SELECT
        ts, kind, advertiser, campaign, creative, placement, visitor, verdict, duplicate, impression_id, value,
        kind IN ('impression', 'open', 'view') AS image, NOT duplicate AND verdict = 'valid' AS counted
    FROM facts FINAL
    WHERE ts >= span.1 AND ts < toDateTime64(span.2 + 60, 3)
) AS f
WHERE (minute, advertiser, campaign, creative, placement) IN open_minutes
GROUP BY minute, advertiser, campaign, creative, placement;

-- When rows of a day (UTC) came last, such as change what is counted of it.
CREATE TABLE IF NOT EXISTS touched_days
(
    day Date,
    at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(at)
ORDER BY day;

CREATE MATERIALIZED VIEW IF NOT EXISTS touched_by_minutes_fill TO touched_days AS
SELECT toDate(minute) AS day, max(nowInBlock64(3, 'UTC')) AS at FROM minute_rows GROUP BY day;

CREATE MATERIALIZED VIEW IF NOT EXISTS touched_by_facts_fill TO touched_days AS
SELECT toDate(ts) AS day, max(nowInBlock64(3, 'UTC')) AS at FROM facts GROUP BY day;

INSERT INTO touched_days
SELECT DISTINCT toDate(minute) AS day, now64(3) FROM minute_rows UNION DISTINCT SELECT toDate(ts), now64(3) FROM facts;

-- Minutes of whole days added up to quarter hours, once no row of the day had come for a while: what was there
-- `as_of` then.
CREATE TABLE IF NOT EXISTS counted_slices
(
    slice DateTime('UTC'),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    gross UInt64,
    invalid UInt64,
    duplicates UInt64,
    valid UInt64,
    clicks UInt64,
    attributed_clicks UInt64,
    conversions UInt64,
    revenue Decimal(38, 4),
    reasons Map(LowCardinality(String), UInt64),
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
PARTITION BY toYYYYMM(slice)
ORDER BY (advertiser, campaign, creative, placement, slice);

-- Days that were added up to the end.
CREATE TABLE IF NOT EXISTS counted_days
(
    day Date,
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY day;

-- Whether that still holds.
CREATE VIEW IF NOT EXISTS days AS
SELECT touched.day AS day, touched.at AS touched, counted.as_of AS as_of, counted.as_of > touched.at AS is_counted
FROM (SELECT * FROM touched_days FINAL) AS touched
LEFT JOIN (SELECT * FROM counted_days FINAL) AS counted USING (day);

-- What adds up to an ad unit's minute, before it is added up. Sums over many minutes read these, since groups of
-- single minutes are what takes time.
CREATE OR REPLACE VIEW minute_parts AS
SELECT
    * EXCEPT (recorded, unrecorded),
    if(unrecorded = 0, recorded, mapUpdate(recorded, map('unrecorded', unrecorded))) AS reasons
FROM
(
    SELECT * EXCEPT reasons, reasons AS recorded, toUInt64(invalid - arraySum(mapValues(reasons))) AS unrecorded
    FROM
    (
        SELECT
            minute, advertiser, campaign, creative, placement, gross, invalid, duplicates, valid, uniques, clicks,
            attributed_clicks, conversions, revenue, reasons
        FROM minute_rows FINAL
        WHERE NOT late AND (minute, advertiser, campaign, creative, placement) NOT IN
            (SELECT minute, advertiser, campaign, creative, placement FROM late_minutes)
        UNION ALL
        SELECT * FROM recounted_minutes
        UNION ALL
        SELECT * EXCEPT settled_at FROM settled_minutes FINAL
    )
);

-- As in 0014_reasons.sql, of these parts.
CREATE OR REPLACE VIEW counted_minutes AS
SELECT
    minute, advertiser, campaign, creative, placement,
    sum(part.gross) AS gross, sum(part.invalid) AS invalid, sum(part.duplicates) AS duplicates,
    sum(part.valid) AS valid, sum(part.uniques) AS uniques, sum(part.clicks) AS clicks,
    sum(part.attributed_clicks) AS attributed_clicks, sum(part.conversions) AS conversions,
    sum(part.revenue) AS revenue, sumMap(part.reasons) AS reasons
FROM minute_parts AS part
GROUP BY minute, advertiser, campaign, creative, placement;

-- Quarter hours of ad units, of days that are counted. Which they are is asked as in the view below: within a query
-- the same question has one answer, so that no day is in both or in none.
CREATE VIEW IF NOT EXISTS counted_parts AS
WITH (SELECT (groupArrayIf((day, as_of), is_counted), groupArrayIf(day, NOT is_counted)) FROM days) AS known
SELECT
    slice, advertiser, campaign, creative, placement, gross, invalid, duplicates, valid, clicks, attributed_clicks,
    conversions, revenue, reasons
FROM counted_slices
WHERE (toDate(slice), as_of) IN known.1;

-- Parts of minutes; those of days that are not counted are `open`.
CREATE VIEW IF NOT EXISTS open_parts AS
WITH (SELECT (groupArrayIf((day, as_of), is_counted), groupArrayIf(day, NOT is_counted)) FROM days) AS known
SELECT
    minute, has(known.2, toDate(minute)) AS open, advertiser, campaign, creative, placement, gross, invalid, duplicates,
    valid, clicks, attributed_clicks, conversions, revenue, reasons
FROM minute_parts;

-- What adds up to a quarter hour of an ad unit.
CREATE VIEW IF NOT EXISTS slice_parts AS
SELECT * FROM counted_parts
UNION ALL
SELECT
    toStartOfFifteenMinutes(minute) AS slice, advertiser, campaign, creative, placement, gross, invalid, duplicates,
    valid, clicks, attributed_clicks, conversions, revenue, reasons
FROM open_parts
WHERE open;

-- As in 0016_days.sql, of these parts.
CREATE OR REPLACE VIEW ledger_slices AS
SELECT
    slice, counts.advertiser AS advertiser, counts.campaign AS campaign, creative, placement,
    terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
    toDate(formatDateTime(slice, '%F', timezone)) AS day,
    gross, valid, duplicates, invalid, reasons, clicks
FROM
(
    SELECT
        slice, advertiser, campaign, creative, placement,
        sum(part.gross) AS gross, sum(part.valid) AS valid, sum(part.duplicates) AS duplicates,
        sum(part.invalid) AS invalid, sumMap(part.reasons) AS reasons, sum(part.clicks) AS clicks
    FROM slice_parts AS part
    GROUP BY slice, advertiser, campaign, creative, placement
) AS counts
ASOF LEFT JOIN terms
ON counts.advertiser = terms.advertiser AND counts.campaign = terms.campaign AND counts.slice >= terms.starts;
