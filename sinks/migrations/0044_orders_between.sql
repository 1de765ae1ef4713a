-- Orders that count and were first reported between two moments, each once: as in `conversions`, but nothing is read of
-- orders before `since` but whether they are the same, and nothing of clicks.
CREATE OR REPLACE VIEW orders_between AS
SELECT id, ts, advertiser, campaign, subscriber, visitor, `order`, value, currency, click_id
FROM facts FINAL
WHERE kind = 'conversion' AND verdict = 'valid' AND NOT duplicate
    AND ts >= {since:DateTime64(3, 'UTC')} AND ts < {until:DateTime64(3, 'UTC')}
    AND (`order` = '' OR (advertiser, campaign, `order`) NOT IN
    (
        SELECT advertiser, campaign, `order` FROM facts FINAL
        PREWHERE kind = 'conversion' AND ts < {since:DateTime64(3, 'UTC')} AND `order` IN
        (
            SELECT `order` FROM facts
            WHERE kind = 'conversion'
                AND ts >= {since:DateTime64(3, 'UTC')} AND ts < {until:DateTime64(3, 'UTC')}
        )
        WHERE verdict = 'valid' AND NOT duplicate
    ))
ORDER BY ts, id
LIMIT 1 BY advertiser, campaign, if(`order` = '', toString(id), concat('order ', `order`))
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;

-- As in 0042_visitor_sets.sql, with orders of the days that are asked for: it looked at all that are kept.
CREATE OR REPLACE VIEW days_of_campaigns AS
WITH
    toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC') AS low,
    toDateTime({last:Date} + 2, 'UTC') AS high,
    (SELECT day FROM visits_known) AS known,
    toDateTime(addMonths(toStartOfMonth(known), 1) + 1, 'UTC') AS known_from,
    emptyArrayUInt64() AS nobody,
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
        if(is_settled, 0, uniques) AS uniques,
        if(is_settled, 0, toUInt64(newcomers + so_far - lagInFrame(so_far, 1, 0) OVER days)) AS new_uniques,
        if(is_settled, 0, toUInt64(paid_newcomers + paid_so_far - lagInFrame(paid_so_far, 1, 0) OVER days))
            AS billable_uniques,
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
            uniqExactArrayMerge(seen) OVER days AS so_far, uniqExactArrayMerge(paid) OVER days AS paid_so_far,
            uniqExactArrayMerge(clickers) OVER days AS clickers_so_far,
            uniqExactArrayMerge(converters) OVER days AS converters_so_far
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
                uniqExactArrayIf(visitors, of = 'visitors' AND NOT {paid:Bool}) AS uniques,
                uniqExactArrayStateIf
                (
                    visitors,
                    of = 'visitors' AND NOT {paid:Bool}
                        AND (month <= known OR (advertiser, campaign, month) IN months_of_change AS is_united)
                ) AS seen,
                uniqExactArrayStateIf(visitors, of = 'visitors' AND pricing = 'cpm' AND basis = 'unique' AND is_united)
                    AS paid,
                sum(counts.newcomers) AS newcomers,
                sumIf(counts.newcomers, pricing = 'cpm' AND basis = 'unique') AS paid_newcomers,
                uniqExactArrayStateIf(visitors, of = 'actions' AND pricing = 'cpc' AND basis = 'unique') AS clickers,
                uniqExactArrayStateIf(visitors, of = 'orders' AND pricing = 'cpa' AND basis = 'unique') AS converters
            FROM
            (
                SELECT
                    'requests' AS of, slice, advertiser, campaign,
                    sum(p.gross) AS gross, sum(p.valid) AS valid, sum(p.duplicates) AS duplicates,
                    sum(p.invalid) AS invalid, sumMap(p.reasons) AS reasons, sum(p.clicks) AS clicks,
                    0::UInt64 AS click_requests, 0::UInt64 AS reported_conversions, 0::UInt64 AS conversions,
                    no_revenue AS revenue, nobody AS visitors, 0::UInt64 AS newcomers
                FROM slice_parts AS p
                WHERE slice >= low AND slice < high
                GROUP BY slice, advertiser, campaign
                UNION ALL
                SELECT
                    'visitors', slice, advertiser, campaign, 0, 0, 0, 0, no_reasons, 0, 0, 0, 0, no_revenue, visitors, 0
                FROM slice_visitors
                WHERE slice >= low AND slice < high
                    AND
                    (
                        NOT {paid:Bool} AND slice >= toDateTime(greatest({first:Date}, toDate('1970-01-02')) - 1, 'UTC')
                        OR (NOT {paid:Bool} OR (advertiser, campaign) IN
                            (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpm' AND basis = 'unique'))
                            AND
                            (
                                slice < known_from
                                OR (advertiser, campaign) IN (SELECT advertiser, campaign FROM months_of_change)
                            )
                    )
                UNION ALL
                SELECT
                    'newcomers', at, advertiser, campaign, 0, 0, 0, 0, no_reasons, 0, 0, 0, 0, no_revenue, nobody,
                    visitors
                FROM ${database}.newcomers_between(first = {first:Date}, last = {last:Date}, paid = {paid:Bool})
                UNION ALL
                SELECT
                    'actions', toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign,
                    0, 0, 0, 0, no_reasons, 0, countIf(kind = 'click'), countIf(kind = 'conversion'), 0, no_revenue,
                    groupUniqArrayIf(visitor, kind = 'click' AND verdict = 'valid' AND visitor != 0), 0
                FROM facts FINAL
                WHERE kind IN ('click', 'conversion') AND verdict != 'unregistered'
                    AND ts >= low AND ts < toDateTime64(high, 3)
                    AND (NOT {paid:Bool} OR (advertiser, campaign) IN
                        (SELECT advertiser, campaign FROM terms_held WHERE pricing != 'cpm'))
                GROUP BY slice, advertiser, campaign
                UNION ALL
                SELECT
                    'orders', toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign,
                    0, 0, 0, 0, no_reasons, 0, 0, 0, count(), sumMap(map(currency, value::Decimal(38, 4))),
                    groupUniqArrayIf(if(clicker = 0, visitor, clicker) AS who, who != 0), 0
                FROM
                (
                    SELECT ts, advertiser, campaign, currency, value, click_id, visitor
                    FROM ${database}.orders_between(since = low, until = high)
                    WHERE NOT {paid:Bool} OR (advertiser, campaign) IN
                        (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpa')
                ) AS orders
                LEFT ANY JOIN
                (
                    SELECT advertiser, campaign, click_id, clicker FROM followed_clicks
                    WHERE (advertiser, campaign) IN
                        (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpa' AND basis = 'unique')
                ) AS clicks USING (advertiser, campaign, click_id)
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
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;
