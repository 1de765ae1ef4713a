-- Who came to a campaign in a month: a row each, for any time zone, whose months begin between 14 hours before those of
-- UTC and 12 after. `early` and `late` say in which of these 104 quarter hours at the month's begin and at its end, as
-- bits, and `inside` in which one between them first, numbered on from those at the begin (65535: in none). Whatever is
-- inserted again changes nothing.
CREATE TABLE IF NOT EXISTS first_visits
(
    month Date,
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    visitor UInt64,
    early SimpleAggregateFunction(groupBitOr, UInt128),
    inside SimpleAggregateFunction(min, UInt16),
    late SimpleAggregateFunction(groupBitOr, UInt128)
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(month)
ORDER BY (advertiser, campaign, month, visitor);

-- Where visits come in.
CREATE TABLE IF NOT EXISTS visits_in
(
    ts DateTime64(3, 'UTC'),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    visitor UInt64
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS first_visits_fill TO first_visits AS
WITH
    toStartOfMonth(ts + toIntervalHour(14)) AS near,
    intDiv(toUnixTimestamp(ts) - toUnixTimestamp(toDateTime(near, 'UTC')) + 50400, 900) AS place,
    place < 104 AS at_the_edge,
    if(at_the_edge, bitShiftLeft(toUInt128(1), place), 0) AS bit
SELECT
    arrayJoin(if(at_the_edge, [near, addMonths(near, -1)], [near])) AS month, advertiser, campaign, visitor,
    if(month = near, bit, 0) AS early, if(at_the_edge, 65535, place) AS inside, if(month = near, 0, bit) AS late
FROM visits_in;

CREATE MATERIALIZED VIEW IF NOT EXISTS visits_fill TO visits_in AS
SELECT ts, advertiser, campaign, visitor
FROM facts
WHERE kind IN ('impression', 'open', 'view') AND verdict = 'valid' AND visitor != 0;

-- The same of what is there.
CREATE VIEW IF NOT EXISTS visits AS
SELECT ts, advertiser, campaign, visitor
FROM facts
WHERE kind IN ('impression', 'open', 'view') AND verdict = 'valid' AND visitor != 0;

-- Days (UTC) from the earliest of which on all visits are there: those of facts that came before the table was made are
-- brought in day by day, from the newest.
CREATE TABLE IF NOT EXISTS visits_since
(
    day Date
)
ENGINE = ReplacingMergeTree
ORDER BY day;

INSERT INTO visits_since
SELECT if(count() = 0, toDate('1970-01-01'), greatest(toDate(max(ts)), today()) + 1) FROM facts;

-- Months that begin later than `day` are whole: all their visits are there, and none has expired.
CREATE VIEW IF NOT EXISTS visits_known AS
SELECT greatest((SELECT min(day) FROM visits_since), toDate((SELECT before FROM horizon)) + 1) AS day;

-- Months in which a campaign's terms change, or so near to which that they do in some time zone. In all others the same
-- hold from begin to end.
CREATE VIEW IF NOT EXISTS months_of_change AS
SELECT DISTINCT advertiser, campaign, arrayJoin([toStartOfMonth(since - 2), toStartOfMonth(since + 2)]) AS month
FROM terms_held
WHERE since > '1970-01-02';

-- At which of the 104 quarter hours of `first_visits` (0 to 104) campaigns' months begin and end, by the terms that
-- hold. Where none do, it is by UTC: 56.
CREATE VIEW IF NOT EXISTS month_edges AS
WITH
    (SELECT groupArray(month) FROM months) AS months,
    day -> arrayFirstIndex
    (
        place -> formatDateTime(toDateTime(day, 'UTC') - 50400 + 900 * place, '%F', timezone) >= toString(day),
        range(105)
    ) - 1 AS place_of
SELECT advertiser, campaign, month, timezone, begins, ends
FROM
(
    SELECT advertiser, campaign, arrayJoin(months) AS month, argMax(timezone, starts) AS timezone
    FROM terms_held FINAL
    WHERE starts <= toDateTime(month, 'UTC')
    GROUP BY advertiser, campaign, month
) AS held
INNER JOIN
(
    SELECT timezone, month, place_of(month) AS begins, place_of(addMonths(month, 1)) AS ends
    FROM (SELECT DISTINCT timezone, arrayJoin(months) AS month FROM terms_held)
) AS zones USING (timezone, month);

-- As in 0035_counted_months.sql, with first visits of months that are whole and not counted. They are grouped by
-- `toStartOfMonth` of what is a month already: by what partitions are made of, ClickHouse lets one thread group each.
CREATE OR REPLACE VIEW campaign_reach AS
WITH
    (SELECT groupArray((month, as_of)) FROM months WHERE is_counted) AS counted,
    (SELECT day FROM visits_known) AS known,
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
    WHERE {period:String} != 'month' OR start <= known AND NOT has(counted.1, start)
    GROUP BY start, advertiser, campaign
    UNION ALL
    SELECT
        toStartOfMonth(month) AS start, advertiser, campaign,
        uniqExactIf
        (
            visitor,
            inside != 65535 OR bitShiftRight(early, place(month)) != 0
                OR bitAnd(late, bitShiftLeft(toUInt128(1), place(addMonths(month, 1))) - 1) != 0
        ) AS uniques
    FROM first_visits
    WHERE {period:String} = 'month' AND month > known AND NOT has(counted.1, month)
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
    (SELECT day FROM visits_known) AS known,
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
    WHERE {period:String} != 'month' OR start <= known AND NOT has(counted.1, start)
    GROUP BY start, advertiser
    UNION ALL
    SELECT
        toStartOfMonth(month) AS start, advertiser,
        uniqExactIf
        (
            visitor,
            inside != 65535 OR bitShiftRight(early, place(month)) != 0
                OR bitAnd(late, bitShiftLeft(toUInt128(1), place(addMonths(month, 1))) - 1) != 0
        ) AS uniques
    FROM first_visits
    WHERE {period:String} = 'month' AND month > known AND NOT has(counted.1, month)
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

-- Visitors of campaigns' months, how many by the quarter hour of their first visit in it: of months that are whole and
-- in which the same terms hold from begin to end. `paid`: only of campaigns that pay for each visitor once a month.
CREATE OR REPLACE VIEW newcomers_between AS
WITH
    bits -> bitCount(bitXor(bits, bits - 1)) - 1 AS lowest,
    bitShiftRight(early, if(timezone = '', 56, begins) AS begin) AS early_then,
    bitAnd(late, bitShiftLeft(toUInt128(1), if(timezone = '', 56, ends)) - 1) AS late_then
SELECT
    advertiser, campaign,
    toDateTime(if(early_then = 0 AND inside = 65535, addMonths(month, 1), month), 'UTC') - 50400
        + 900 * multiIf(early_then != 0, begin + lowest(early_then), inside != 65535, inside, lowest(late_then)) AS at,
    sum(visits.visitors) AS visitors
FROM
(
    SELECT advertiser, campaign, month, early, inside, late, count() AS visitors
    FROM first_visits FINAL
    WHERE month >= toStartOfMonth({first:Date}) AND month <= {last:Date} AND month > (SELECT day FROM visits_known)
        AND (advertiser, campaign, month) NOT IN months_of_change
        AND (NOT {paid:Bool} OR (advertiser, campaign) IN
            (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpm' AND basis = 'unique'))
    GROUP BY advertiser, campaign, month, early, inside, late
) AS visits
LEFT ANY JOIN month_edges USING (advertiser, campaign, month)
WHERE early_then != 0 OR inside != 65535 OR late_then != 0
GROUP BY advertiser, campaign, at
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;

-- As in 0037_days_planned_once.sql, but who is new in a month comes from `newcomers_between` where that has it: no set
-- of all the month's visitors has to be made then.
CREATE OR REPLACE VIEW days_of_campaigns AS
WITH
    toDateTime(greatest(toStartOfMonth({first:Date}), toDate('1970-01-02')) - 1, 'UTC') AS low,
    toDateTime({last:Date} + 2, 'UTC') AS high,
    (SELECT day FROM visits_known) AS known,
    toDateTime(addMonths(toStartOfMonth(known), 1) + 1, 'UTC') AS known_from,
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
                uniqExactMergeIf(visitors, of = 'visitors' AND NOT {paid:Bool}) AS uniques,
                uniqExactMergeStateIf
                (
                    visitors,
                    of = 'visitors' AND NOT {paid:Bool}
                        AND (month <= known OR (advertiser, campaign, month) IN months_of_change AS is_united)
                ) AS seen,
                uniqExactMergeStateIf(visitors, of = 'visitors' AND pricing = 'cpm' AND basis = 'unique' AND is_united)
                    AS paid,
                sum(counts.newcomers) AS newcomers,
                sumIf(counts.newcomers, pricing = 'cpm' AND basis = 'unique') AS paid_newcomers,
                uniqExactMergeStateIf(visitors, of = 'actions' AND pricing = 'cpc' AND basis = 'unique') AS clickers,
                uniqExactMergeStateIf(visitors, of = 'orders' AND pricing = 'cpa' AND basis = 'unique') AS converters
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
                FROM reach_sets
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
                    uniqExactStateIf(visitor, kind = 'click' AND verdict = 'valid' AND visitor != 0), 0
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
                    uniqExactStateIf(if(clicker = 0, visitor, clicker) AS who, who != 0), 0
                FROM
                (
                    SELECT ts, advertiser, campaign, currency, value, click_id, visitor, verdict, duplicate
                    FROM facts FINAL
                    WHERE kind = 'conversion'
                        AND (NOT {paid:Bool} OR (advertiser, campaign) IN
                            (SELECT advertiser, campaign FROM terms_held WHERE pricing = 'cpa'))
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
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;
