-- Columns and views that folders of earlier versions have otherwise.
ALTER TABLE settled_days
    ADD COLUMN IF NOT EXISTS click_requests UInt64 AFTER billable_uniques,
    ADD COLUMN IF NOT EXISTS billable_clickers UInt64 AFTER click_requests,
    ADD COLUMN IF NOT EXISTS reported_conversions UInt64 AFTER conversions,
    ADD COLUMN IF NOT EXISTS billable_converters UInt64 AFTER reported_conversions;

CREATE OR REPLACE VIEW terms AS
SELECT
    *,
    leadInFrame(starts, 1, toDateTime('2106-01-01 00:00:00', 'UTC')) OVER later AS ends,
    leadInFrame(since, 1, toDate('2106-01-01')) OVER later - 1 AS last_day
FROM (SELECT * FROM terms_set ORDER BY set_at DESC LIMIT 1 BY advertiser, campaign, since)
WINDOW later AS
(
    PARTITION BY advertiser, campaign ORDER BY starts ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
);

CREATE OR REPLACE VIEW followed_clicks AS
SELECT advertiser, campaign, id AS click_id, creative, placement, visitor AS clicker
FROM facts FINAL
WHERE kind = 'click' AND id IN (SELECT click_id FROM facts WHERE kind = 'conversion')
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW order_slices AS
SELECT
    slice, orders.advertiser AS advertiser, orders.campaign AS campaign, creative, placement,
    terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
    toDate(formatDateTime(slice, '%F', timezone)) AS day,
    terms.pricing = 'cpa' AND terms.basis = 'unique' AS by_converters,
    orders.currency AS currency, value, if(clicker = 0, own, clicker) AS visitor
FROM
(
    SELECT slice, advertiser, campaign, creative, placement, currency, value, own, clicker
    FROM
    (
        SELECT
            toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign, currency, value, click_id,
            visitor AS own
        FROM conversions
        WHERE verdict = 'valid' AND NOT duplicate
    ) AS counted
    LEFT ANY JOIN followed_clicks USING (advertiser, campaign, click_id)
) AS orders
ASOF LEFT JOIN terms
ON orders.advertiser = terms.advertiser AND orders.campaign = terms.campaign AND orders.slice >= terms.starts;

CREATE OR REPLACE VIEW action_slices AS
SELECT
    slice, actions.advertiser AS advertiser, actions.campaign AS campaign, creative, placement,
    terms.starts AS starts, if(terms.timezone = '', 'UTC', terms.timezone) AS timezone,
    toDate(formatDateTime(slice, '%F', timezone)) AS day,
    terms.pricing = 'cpc' AND terms.basis = 'unique' AS by_clickers,
    kind, verdict, visitor
FROM
(
    SELECT
        slice, advertiser, campaign, kind, verdict, visitor,
        if(kind = 'click', own_creative, clicked.creative) AS creative,
        if(kind = 'click', own_placement, clicked.placement) AS placement
    FROM
    (
        SELECT
            toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign, kind, verdict, visitor,
            creative AS own_creative, placement AS own_placement, click_id
        FROM facts FINAL
        WHERE kind IN ('click', 'conversion') AND verdict != 'unregistered'
        SETTINGS do_not_merge_across_partitions_select_final = 1
    ) AS requested
    LEFT ANY JOIN followed_clicks AS clicked USING (advertiser, campaign, click_id)
) AS actions
ASOF LEFT JOIN terms
ON actions.advertiser = terms.advertiser AND actions.campaign = terms.campaign AND actions.slice >= terms.starts;

-- Days of campaigns between two, so that no more is read than their months: a month as a whole, since who is new on a
-- day depends on those before. `first` and `last` are days of any time zone.

-- Unique visitors of campaigns' days: of the day, those not seen before in the month, and those not seen before in
-- the month under terms by uniques. The latter two add up over the month.
CREATE OR REPLACE VIEW reach_days_between AS
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
        WHERE slice >= toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC')
            AND slice < toDateTime({last:Date} + 2, 'UTC')
        GROUP BY advertiser, campaign, month, day, starts, timezone, by_uniques
    )
    WINDOW days AS (PARTITION BY advertiser, campaign, month ORDER BY starts, day)
)
WINDOW days AS (PARTITION BY advertiser, campaign, month ORDER BY starts, day);

-- How many visitors clicked or converted validly on a campaign's day, for the first time in the month under terms
-- that pay for each of them once. They add up over the month.
CREATE OR REPLACE VIEW first_actions_between AS
SELECT
    advertiser, campaign, month, first.2 AS day, first.1 AS starts, first.3 AS timezone,
    countIf(kind = 'click') AS billable_clickers, countIf(kind = 'conversion') AS billable_converters
FROM
(
    SELECT
        advertiser, campaign, toStartOfMonth(day) AS month, kind, visitor, min((starts, day, timezone)) AS first
    FROM
    (
        SELECT advertiser, campaign, day, starts, timezone, kind, visitor
        FROM action_slices
        WHERE by_clickers AND kind = 'click' AND verdict = 'valid'
            AND slice >= toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC')
            AND slice < toDateTime({last:Date} + 2, 'UTC')
        UNION ALL
        SELECT advertiser, campaign, day, starts, timezone, 'conversion', visitor
        FROM order_slices
        WHERE by_converters
            AND slice >= toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC')
            AND slice < toDateTime({last:Date} + 2, 'UTC')
    )
    WHERE visitor != 0
    GROUP BY advertiser, campaign, month, kind, visitor
)
GROUP BY advertiser, campaign, month, day, starts, timezone;

-- What is counted of these days, of months that are not settled.
CREATE OR REPLACE VIEW unsettled_days_between AS
SELECT
    advertiser, campaign, month, day, starts, timezone,
    sum(part.uniques) AS uniques, sum(part.new_uniques) AS new_uniques, sum(part.billable_uniques) AS billable_uniques,
    sum(part.click_requests) AS click_requests, sum(part.billable_clickers) AS billable_clickers,
    sum(part.conversions) AS conversions, sum(part.reported_conversions) AS reported_conversions,
    sum(part.billable_converters) AS billable_converters, sumMap(part.revenue) AS revenue
FROM
(
    SELECT
        *, 0::UInt64 AS click_requests, 0::UInt64 AS billable_clickers, 0::UInt64 AS conversions,
        0::UInt64 AS reported_conversions, 0::UInt64 AS billable_converters,
        map()::Map(LowCardinality(String), Decimal(38, 4)) AS revenue
    FROM ${database}.reach_days_between(first = {first:Date}, last = {last:Date})
    UNION ALL
    SELECT
        advertiser, campaign, toStartOfMonth(day) AS month, day, starts, timezone, 0, 0, 0, 0, 0,
        count(), 0, 0, sumMap(map(currency, value::Decimal(38, 4)))
    FROM order_slices
    WHERE slice >= toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC')
        AND slice < toDateTime({last:Date} + 2, 'UTC')
    GROUP BY advertiser, campaign, month, day, starts, timezone
    UNION ALL
    SELECT
        advertiser, campaign, toStartOfMonth(day) AS month, day, starts, timezone, 0, 0, 0,
        countIf(kind = 'click'), 0, 0, countIf(kind = 'conversion'), 0, map()
    FROM action_slices
    WHERE slice >= toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC')
        AND slice < toDateTime({last:Date} + 2, 'UTC')
    GROUP BY advertiser, campaign, month, day, starts, timezone
    UNION ALL
    SELECT
        advertiser, campaign, month, day, starts, timezone, 0, 0, 0,
        0, billable_clickers, 0, 0, billable_converters, map()
    FROM ${database}.first_actions_between(first = {first:Date}, last = {last:Date})
) AS part
WHERE (advertiser, campaign, month) NOT IN (SELECT advertiser, campaign, month FROM settled_days)
GROUP BY advertiser, campaign, month, day, starts, timezone;

-- All that is counted of a campaign's day. `lost`: facts and sets of its month went before that was settled, so
-- uniques, click requests, conversions and revenue are less than they were.
CREATE OR REPLACE VIEW campaign_days_between AS
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
        advertiser, campaign, toStartOfMonth(day) AS month, day, starts, timezone,
        gross, valid, duplicates, invalid, reasons, clicks,
        0::UInt64 AS uniques, 0::UInt64 AS new_uniques, 0::UInt64 AS billable_uniques,
        0::UInt64 AS click_requests, 0::UInt64 AS billable_clickers, 0::UInt64 AS conversions,
        0::UInt64 AS reported_conversions, 0::UInt64 AS billable_converters,
        map()::Map(LowCardinality(String), Decimal(38, 4)) AS revenue
    FROM ledger_slices
    WHERE slice >= toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC')
        AND slice < toDateTime({last:Date} + 2, 'UTC')
    UNION ALL
    SELECT
        advertiser, campaign, month, day, starts, timezone, 0, 0, 0, 0, map(), 0,
        uniques, new_uniques, billable_uniques, click_requests, billable_clickers, conversions, reported_conversions,
        billable_converters, revenue
    FROM ${database}.unsettled_days_between(first = {first:Date}, last = {last:Date})
    UNION ALL
    SELECT
        advertiser, campaign, month, day, starts, timezone, 0, 0, 0, 0, map(), 0,
        uniques, new_uniques, billable_uniques, click_requests, billable_clickers, conversions, reported_conversions,
        billable_converters, revenue
    FROM settled_days FINAL
) AS part
WHERE day BETWEEN {first:Date} AND {last:Date}
GROUP BY advertiser, campaign, month, day, starts, timezone;

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
FROM ${database}.campaign_days_between(first = {first:Date}, last = {last:Date}) AS days
INNER JOIN terms
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

DROP VIEW IF EXISTS unsettled_days;

DROP VIEW IF EXISTS reach_days;

DROP VIEW IF EXISTS first_actions;
