-- Terms as they hold by day, so that whoever joins them reads a table: of those set for the same day the last counts.
CREATE TABLE IF NOT EXISTS terms_held
(
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    since Date,
    starts DateTime('UTC'),
    timezone LowCardinality(String),
    pricing LowCardinality(String),
    basis LowCardinality(String),
    price Decimal(18, 6),
    currency LowCardinality(String),
    set_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(set_at)
ORDER BY (advertiser, campaign, since);

CREATE MATERIALIZED VIEW IF NOT EXISTS terms_held_fill TO terms_held AS
SELECT advertiser, campaign, since, starts, timezone, pricing, basis, price, currency, set_at FROM terms_set;

INSERT INTO terms_held
SELECT advertiser, campaign, since, starts, timezone, pricing, basis, price, currency, set_at FROM terms_set;

-- Days of campaigns between two, so that no more is read than their months: a month as a whole, since who is new on a
-- day depends on those before. `first` and `last` are days of any time zone. `lost`: facts and sets of its month went
-- before that was settled, so uniques, click requests, conversions and revenue are less than they were.
--
-- To plan this takes longer than to count a small installation's days. So what is counted of quarter hours (requests,
-- who saw it, clicks and reports, orders) is put together first, and then joined with terms and added up once.
-- `paid`: of unique visitors no more than what is paid for.
CREATE OR REPLACE VIEW days_of_campaigns AS
WITH
    toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC') AS low,
    toDateTime({last:Date} + 2, 'UTC') AS high,
    arrayReduce('uniqExactState', emptyArrayUInt64()) AS nobody,
    map()::Map(LowCardinality(String), UInt64) AS no_reasons,
    map()::Map(LowCardinality(String), Decimal(38, 4)) AS no_revenue
SELECT
    advertiser, campaign, month, day, starts, timezone,
    sum(part.gross) AS gross, sum(part.valid) AS valid, sum(part.duplicates) AS duplicates,
    sum(part.invalid) AS invalid, sumMap(part.reasons) AS reasons, sum(part.clicks) AS clicks,
    sum(part.uniques) AS uniques, sum(part.new_uniques) AS new_uniques, sum(part.billable_uniques) AS billable_uniques,
    sum(part.click_requests) AS click_requests, sum(part.billable_clickers) AS billable_clickers,
    sum(part.conversions) AS conversions, sum(part.reported_conversions) AS reported_conversions,
    sum(part.billable_converters) AS billable_converters, sumMap(part.revenue) AS revenue,
    (advertiser, campaign, month) IN (SELECT advertiser, campaign, month FROM settled_days) AS settled,
    NOT settled AND toDateTime(month, 'UTC') - toIntervalDay(1) < (SELECT before FROM horizon) AS lost
FROM
(
    SELECT
        advertiser, campaign, month, day, starts, timezone, gross, valid, duplicates, invalid, reasons, clicks,
        if(is_settled, 0, finalizeAggregation(seen)) AS uniques,
        if(is_settled, 0, toUInt64(so_far - lagInFrame(so_far, 1, 0) OVER days)) AS new_uniques,
        if(is_settled, 0, toUInt64(paid_so_far - lagInFrame(paid_so_far, 1, 0) OVER days)) AS billable_uniques,
        if(is_settled, 0, click_requests) AS click_requests,
        if(is_settled, 0, toUInt64(clickers_so_far - lagInFrame(clickers_so_far, 1, 0) OVER days)) AS billable_clickers,
        if(is_settled, 0, conversions) AS conversions,
        if(is_settled, 0, reported_conversions) AS reported_conversions,
        if(is_settled, 0, toUInt64(converters_so_far - lagInFrame(converters_so_far, 1, 0) OVER days))
            AS billable_converters,
        if(is_settled, no_revenue, revenue) AS revenue
    FROM
    (
        SELECT
            *, (advertiser, campaign, month) IN (SELECT advertiser, campaign, month FROM settled_days) AS is_settled,
            uniqExactMerge(seen) OVER days AS so_far, uniqExactMerge(paid) OVER days AS paid_so_far,
            uniqExactMerge(clickers) OVER days AS clickers_so_far,
            uniqExactMerge(converters) OVER days AS converters_so_far
        FROM
        (
            SELECT
                counts.advertiser AS advertiser, counts.campaign AS campaign,
                terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
                toDate(formatDateTime(slice, '%F', timezone)) AS day, toStartOfMonth(day) AS month,
                sum(counts.gross) AS gross, sum(counts.valid) AS valid, sum(counts.duplicates) AS duplicates,
                sum(counts.invalid) AS invalid, sumMap(counts.reasons) AS reasons, sum(counts.clicks) AS clicks,
                sum(counts.click_requests) AS click_requests, sum(counts.conversions) AS conversions,
                sum(counts.reported_conversions) AS reported_conversions, sumMap(counts.revenue) AS revenue,
                max(of = 'requests') AS has_requests,
                uniqExactMergeStateIf(visitors, of = 'visitors' AND NOT {paid:Bool}) AS seen,
                uniqExactMergeStateIf(visitors, of = 'visitors' AND pricing = 'cpm' AND basis = 'unique') AS paid,
                uniqExactMergeStateIf(visitors, of = 'actions' AND pricing = 'cpc' AND basis = 'unique') AS clickers,
                uniqExactMergeStateIf(visitors, of = 'orders' AND pricing = 'cpa' AND basis = 'unique') AS converters
            FROM
            (
                SELECT
                    'requests' AS of, slice, advertiser, campaign,
                    sum(p.gross) AS gross, sum(p.valid) AS valid, sum(p.duplicates) AS duplicates,
                    sum(p.invalid) AS invalid, sumMap(p.reasons) AS reasons, sum(p.clicks) AS clicks,
                    0::UInt64 AS click_requests, 0::UInt64 AS reported_conversions, 0::UInt64 AS conversions,
                    no_revenue AS revenue, nobody AS visitors
                FROM slice_parts AS p
                WHERE slice >= low AND slice < high
                GROUP BY slice, advertiser, campaign
                UNION ALL
                SELECT
                    'visitors', slice, advertiser, campaign, 0, 0, 0, 0, no_reasons, 0, 0, 0, 0, no_revenue, visitors
                FROM reach_sets
                WHERE slice >= low AND slice < high
                    AND (NOT {paid:Bool} OR (advertiser, campaign) IN
                        (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpm' AND basis = 'unique'))
                UNION ALL
                SELECT
                    'actions', toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign,
                    0, 0, 0, 0, no_reasons, 0, countIf(kind = 'click'), countIf(kind = 'conversion'), 0, no_revenue,
                    uniqExactStateIf(visitor, kind = 'click' AND verdict = 'valid' AND visitor != 0)
                FROM facts FINAL
                WHERE kind IN ('click', 'conversion') AND verdict != 'unregistered'
                    AND ts >= low AND ts < toDateTime64(high, 3)
                GROUP BY slice, advertiser, campaign
                UNION ALL
                SELECT
                    'orders', toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign,
                    0, 0, 0, 0, no_reasons, 0, 0, 0, count(), sumMap(map(currency, value::Decimal(38, 4))),
                    uniqExactStateIf(if(clicker = 0, visitor, clicker) AS who, who != 0)
                FROM
                (
                    SELECT ts, advertiser, campaign, currency, value, click_id, visitor, verdict, duplicate
                    FROM facts FINAL
                    WHERE kind = 'conversion'
                    ORDER BY duplicate OR verdict != 'valid', ts, id
                    LIMIT 1 BY advertiser, campaign, if(`order` = '', toString(id), concat('order ', `order`))
                ) AS orders
                LEFT ANY JOIN
                (
                    SELECT advertiser, campaign, click_id, clicker FROM followed_clicks
                    WHERE (advertiser, campaign) IN
                        (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpa' AND basis = 'unique')
                ) AS clicks USING (advertiser, campaign, click_id)
                WHERE verdict = 'valid' AND NOT duplicate AND ts >= low AND ts < toDateTime64(high, 3)
                GROUP BY slice, advertiser, campaign
            ) AS counts
            ASOF LEFT JOIN (SELECT * FROM terms_held FINAL) AS terms
            ON counts.advertiser = terms.advertiser AND counts.campaign = terms.campaign
                AND counts.slice >= terms.starts
            GROUP BY advertiser, campaign, month, day, starts, timezone
        )
        WINDOW days AS (PARTITION BY advertiser, campaign, month ORDER BY starts, day)
    )
    WHERE has_requests OR NOT is_settled
    WINDOW days AS (PARTITION BY advertiser, campaign, month ORDER BY starts, day)
    UNION ALL
    SELECT
        advertiser, campaign, month, day, starts, timezone, 0, 0, 0, 0, no_reasons, 0,
        uniques, new_uniques, billable_uniques, click_requests, billable_clickers, conversions, reported_conversions,
        billable_converters, revenue
    FROM settled_days FINAL
) AS part
WHERE day BETWEEN {first:Date} AND {last:Date}
GROUP BY advertiser, campaign, month, day, starts, timezone
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW campaign_days_between AS
SELECT * FROM ${database}.days_of_campaigns(first = {first:Date}, last = {last:Date}, paid = false);

-- What campaigns' days cost by the terms that held, to the last decimal; a bill rounds the sum. Terms by uniques pay
-- for each visitor of a month once, on the first day that it was seen, clicked or converted under them, so days add
-- up. NULL: lost (campaign_days), and not kept with minutes.
CREATE OR REPLACE VIEW charges_between AS
SELECT
    days.advertiser AS advertiser, days.campaign AS campaign, month, day, days.starts AS starts,
    days.timezone AS timezone, pricing, basis, price, currency,
    if
    (
        lost AND (pricing, basis) NOT IN (('cpm', 'gross'), ('cpm', 'valid'), ('cpc', 'valid')),
        NULL,
        multiIf
        (
            pricing = 'cpm', multiIf(basis = 'gross', gross, basis = 'valid', valid, billable_uniques),
            pricing = 'cpc', multiIf(basis = 'gross', click_requests, basis = 'valid', clicks, billable_clickers),
            multiIf(basis = 'gross', reported_conversions, basis = 'valid', conversions, billable_converters)
        )
    ) AS quantity,
    price::Decimal(38, 9) / if(pricing = 'cpm', 1000, 1) * quantity AS spent
FROM ${database}.days_of_campaigns(first = {first:Date}, last = {last:Date}, paid = true) AS days
INNER JOIN (SELECT * FROM terms_held FINAL) AS terms
ON days.advertiser = terms.advertiser AND days.campaign = terms.campaign AND days.starts = terms.starts;

-- The same of all days.
CREATE OR REPLACE VIEW campaign_days AS
SELECT * FROM ${database}.campaign_days_between(first = '1970-01-01', last = '2105-12-31');

CREATE OR REPLACE VIEW charges AS
SELECT * FROM ${database}.charges_between(first = '1970-01-01', last = '2105-12-31');

-- These beside the plan, which is the one that was set last: by the end of each day, what should have been spent of
-- the budget if it were spent evenly, and what was.
CREATE OR REPLACE VIEW spend AS
SELECT
    charges.*, budget, plan_start, plan_end,
    budget * least(greatest(dateDiff('day', plan_start, day) + 1, 0), plan_days) / plan_days AS planned_to_date,
    if
    (
        plan_start IS NULL OR countIf(spent IS NULL AND day BETWEEN plan_start AND plan_end) OVER so_far > 0,
        NULL,
        ifNull(sumIf(spent, day BETWEEN plan_start AND plan_end) OVER so_far, 0)
    ) AS spent_to_date
FROM charges
LEFT JOIN
(
    SELECT
        advertiser, campaign, currency, plan_start, plan_end, nullIf(budget, 0)::Nullable(Decimal(38, 9)) AS budget,
        dateDiff('day', plan_start, plan_end) + 1 AS plan_days
    FROM (SELECT * FROM terms_set ORDER BY set_at DESC LIMIT 1 BY advertiser, campaign)
) AS plans
ON charges.advertiser = plans.advertiser AND charges.campaign = plans.campaign AND charges.currency = plans.currency
WINDOW so_far AS (PARTITION BY charges.advertiser, charges.campaign, charges.currency ORDER BY day, starts);

DROP VIEW IF EXISTS unsettled_days_between;

DROP VIEW IF EXISTS reach_days_between;

DROP VIEW IF EXISTS first_actions_between;

DROP VIEW IF EXISTS unsettled_days;

DROP VIEW IF EXISTS reach_days;

DROP VIEW IF EXISTS first_actions;

-- As in 0034_counted_slices.sql, in one step: reasons always add up to the invalid.
CREATE OR REPLACE VIEW minute_parts AS
WITH toUInt64(r.invalid - arraySum(mapValues(r.reasons))) AS unrecorded
SELECT
    minute, advertiser, campaign, creative, placement, gross, r.invalid AS invalid, duplicates, valid, uniques, clicks,
    attributed_clicks, conversions, revenue,
    if(unrecorded = 0, r.reasons, mapUpdate(r.reasons, map('unrecorded', unrecorded))) AS reasons
FROM minute_rows AS r FINAL
WHERE NOT late AND (minute, advertiser, campaign, creative, placement) NOT IN
    (SELECT minute, advertiser, campaign, creative, placement FROM late_minutes)
UNION ALL
SELECT * FROM recounted_minutes
UNION ALL
SELECT
    minute, advertiser, campaign, creative, placement, gross, s.invalid, duplicates, valid, uniques, clicks,
    attributed_clicks, conversions, revenue,
    if
    (
        s.invalid = arraySum(mapValues(s.reasons)), s.reasons,
        mapUpdate(s.reasons, map('unrecorded', toUInt64(s.invalid - arraySum(mapValues(s.reasons)))))
    )
FROM settled_minutes AS s FINAL;
