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
