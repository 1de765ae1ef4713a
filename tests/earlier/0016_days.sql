-- How long rows have been kept, as the sink applied it; 0: for ever. What is older than `horizon` may be gone.
CREATE TABLE IF NOT EXISTS retentions
(
    at DateTime64(6, 'UTC') DEFAULT now64(6),
    days UInt32
)
ENGINE = MergeTree
ORDER BY at;

CREATE VIEW IF NOT EXISTS horizon AS
SELECT max(until - toIntervalDay(days)) AS before
FROM
(
    SELECT
        days,
        leadInFrame(at, 1, now64(6, 'UTC')) OVER (ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
            AS until
    FROM retentions
)
WHERE days > 0;

-- Counts of quarter hours with the campaign's own day: by the time zone of the terms that held then (`starts` says which),
-- UTC where none did. Every time zone's days begin at a quarter hour.
CREATE VIEW IF NOT EXISTS ledger_slices AS
SELECT
    slice, counts.advertiser AS advertiser, counts.campaign AS campaign, creative, placement,
    terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
    toDate(formatDateTime(slice, '%F', timezone)) AS day,
    gross, valid, duplicates, invalid, reasons, clicks
FROM
(
    SELECT
        toStartOfFifteenMinutes(minute) AS slice, advertiser, campaign, creative, placement,
        sum(m.gross) AS gross, sum(m.valid) AS valid, sum(m.duplicates) AS duplicates, sum(m.invalid) AS invalid,
        sumMap(m.reasons) AS reasons, sum(m.clicks) AS clicks
    FROM counted_minutes AS m
    GROUP BY slice, advertiser, campaign, creative, placement
) AS counts
ASOF LEFT JOIN terms
ON counts.advertiser = terms.advertiser AND counts.campaign = terms.campaign AND counts.slice >= terms.starts;

-- Who was there in them, as sets.
CREATE VIEW IF NOT EXISTS reach_slices AS
SELECT
    slice, sets.advertiser AS advertiser, sets.campaign AS campaign, creative, placement,
    terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
    toDate(formatDateTime(slice, '%F', timezone)) AS day,
    terms.pricing = 'cpm' AND terms.basis = 'unique' AS by_uniques,
    visitors
FROM reach_sets AS sets
ASOF LEFT JOIN terms
ON sets.advertiser = terms.advertiser AND sets.campaign = terms.campaign AND sets.slice >= terms.starts;

-- Orders in them, each once.
CREATE VIEW IF NOT EXISTS order_slices AS
SELECT
    slice, orders.advertiser AS advertiser, orders.campaign AS campaign,
    terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
    toDate(formatDateTime(slice, '%F', timezone)) AS day,
    orders.currency AS currency, value, click_id
FROM
(
    SELECT
        toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign, currency, value, click_id
    FROM conversions
    WHERE verdict = 'valid' AND NOT duplicate
) AS orders
ASOF LEFT JOIN terms
ON orders.advertiser = terms.advertiser AND orders.campaign = terms.campaign AND orders.slice >= terms.starts;

-- Unique visitors of campaigns' days: of the day, those not seen before in the month, and those not seen before in the
-- month under terms by uniques. The latter two add up over the month.
CREATE VIEW IF NOT EXISTS reach_days AS
SELECT
    advertiser, campaign, month, day, starts, timezone,
    finalizeAggregation(seen) AS uniques,
    toUInt64(so_far - lagInFrame(so_far, 1, 0) OVER days) AS new_uniques,
    toUInt64(billable_so_far - lagInFrame(billable_so_far, 1, 0) OVER days) AS billable_uniques
FROM
(
    SELECT
        *,
        uniqExactMerge(seen) OVER days AS so_far,
        uniqExactMergeIf(seen, by_uniques) OVER days AS billable_so_far
    FROM
    (
        SELECT
            advertiser, campaign, toStartOfMonth(day) AS month, day, starts, timezone, by_uniques,
            uniqExactMergeState(visitors) AS seen
        FROM reach_slices
        GROUP BY advertiser, campaign, month, day, starts, timezone, by_uniques
    )
    WINDOW days AS (PARTITION BY advertiser, campaign, month ORDER BY starts, day)
)
WINDOW days AS (PARTITION BY advertiser, campaign, month ORDER BY starts, day);

-- What of campaigns' days could not be counted again once facts and sets are gone: counted for good before. A month is
-- settled as a whole.
CREATE TABLE IF NOT EXISTS settled_days
(
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    month Date,
    day Date,
    starts DateTime('UTC'),
    timezone LowCardinality(String),
    uniques UInt64,
    new_uniques UInt64,
    billable_uniques UInt64,
    conversions UInt64,
    revenue Map(LowCardinality(String), Decimal(38, 4)),  -- by currency
    settled_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(settled_at)
ORDER BY (advertiser, campaign, month, starts, day);

-- By which rules and lists hits were judged whose facts are gone.
CREATE TABLE IF NOT EXISTS settled_rules
(
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    month Date,
    rules_version LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (advertiser, campaign, month, rules_version);

-- The same of months that are not settled.
CREATE VIEW IF NOT EXISTS unsettled_days AS
SELECT
    advertiser, campaign, month, day, starts, timezone,
    sum(part.uniques) AS uniques, sum(part.new_uniques) AS new_uniques, sum(part.billable_uniques) AS billable_uniques,
    sum(part.conversions) AS conversions, sumMap(part.revenue) AS revenue
FROM
(
    SELECT
        *, 0::UInt64 AS conversions, map()::Map(LowCardinality(String), Decimal(38, 4)) AS revenue
    FROM reach_days
    UNION ALL
    SELECT
        advertiser, campaign, toStartOfMonth(day) AS month, day, starts, timezone, 0, 0, 0,
        count(), sumMap(map(currency, value::Decimal(38, 4)))
    FROM order_slices
    GROUP BY advertiser, campaign, month, day, starts, timezone
) AS part
WHERE (advertiser, campaign, month) NOT IN (SELECT advertiser, campaign, month FROM settled_days)
GROUP BY advertiser, campaign, month, day, starts, timezone;

-- All that is counted of a campaign's day. `lost`: facts and sets of its month went before that was settled, so uniques,
-- conversions and revenue are less than they were.
CREATE VIEW IF NOT EXISTS campaign_days AS
SELECT
    advertiser, campaign, month, day, starts, timezone,
    sum(part.gross) AS gross, sum(part.valid) AS valid, sum(part.duplicates) AS duplicates,
    sum(part.invalid) AS invalid, sumMap(part.reasons) AS reasons, sum(part.clicks) AS clicks,
    sum(part.uniques) AS uniques, sum(part.new_uniques) AS new_uniques, sum(part.billable_uniques) AS billable_uniques,
    sum(part.conversions) AS conversions, sumMap(part.revenue) AS revenue,
    (advertiser, campaign, month) IN (SELECT advertiser, campaign, month FROM settled_days) AS settled,
    NOT settled AND toDateTime(month, 'UTC') - toIntervalDay(1) < (SELECT before FROM horizon) AS lost
FROM
(
    SELECT
        advertiser, campaign, toStartOfMonth(day) AS month, day, starts, timezone,
        gross, valid, duplicates, invalid, reasons, clicks,
        0::UInt64 AS uniques, 0::UInt64 AS new_uniques, 0::UInt64 AS billable_uniques, 0::UInt64 AS conversions,
        map()::Map(LowCardinality(String), Decimal(38, 4)) AS revenue
    FROM ledger_slices
    UNION ALL
    SELECT
        advertiser, campaign, month, day, starts, timezone, 0, 0, 0, 0, map(), 0,
        uniques, new_uniques, billable_uniques, conversions, revenue
    FROM unsettled_days
    UNION ALL
    SELECT
        advertiser, campaign, month, day, starts, timezone, 0, 0, 0, 0, map(), 0,
        uniques, new_uniques, billable_uniques, conversions, revenue
    FROM settled_days FINAL
) AS part
GROUP BY advertiser, campaign, month, day, starts, timezone;
