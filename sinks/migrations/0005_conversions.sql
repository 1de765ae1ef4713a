-- A minute may hold many values of up to 14 digits.
ALTER TABLE minute_rows MODIFY COLUMN revenue Decimal(38, 4);

-- Conversions, one row an order of a campaign: the first, whatever node or partition the others went through.
-- One without an order stands for itself. The impression that it came from is not known yet.
CREATE VIEW IF NOT EXISTS conversions AS
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, referer, params, verdict, reasons, rules_version, duplicate,
    `order`, value, currency, click_id, impression_id, seconds_to_conversion
FROM facts FINAL
WHERE kind = 'conversion'
ORDER BY duplicate, ts, id
LIMIT 1 BY advertiser, campaign, if(`order` = '', toString(id), concat('order ', `order`))
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- The visitor 0 is nobody: a request that asked not to be known. It is counted, but not among the uniques.
CREATE OR REPLACE VIEW minutes AS
WITH late_minutes AS
(
    SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late
)
SELECT
    minute, advertiser, campaign, creative, placement,
    sum(r.gross) AS gross, sum(r.invalid) AS invalid, sum(r.duplicates) AS duplicates, sum(r.valid) AS valid,
    sum(r.uniques) AS uniques, sum(r.clicks) AS clicks, sum(r.attributed_clicks) AS attributed_clicks,
    sum(r.conversions) AS conversions, sum(r.revenue) AS revenue
FROM minute_rows AS r FINAL
WHERE NOT late AND (minute, advertiser, campaign, creative, placement) NOT IN late_minutes
GROUP BY minute, advertiser, campaign, creative, placement
UNION ALL
SELECT
    toStartOfMinute(ts)::DateTime('UTC') AS minute, advertiser, campaign, creative, placement,
    countIf(image) AS gross,
    countIf(image AND NOT duplicate AND verdict != 'valid') AS invalid,
    countIf(image AND duplicate) AS duplicates,
    countIf(image AND NOT duplicate AND verdict = 'valid') AS valid,
    uniqExactIf(visitor, image AND verdict = 'valid' AND visitor != 0) AS uniques,
    countIf(kind = 'click' AND counted) AS clicks,
    countIf(kind = 'click' AND counted AND impression_id != toUUID('00000000-0000-0000-0000-000000000000'))
        AS attributed_clicks,
    countIf(kind = 'conversion' AND counted) AS conversions,
    sumIf(value, kind = 'conversion' AND counted) AS revenue
FROM
(
    SELECT *, kind IN ('impression', 'open', 'view') AS image, NOT duplicate AND verdict = 'valid' AS counted
    FROM facts FINAL
    WHERE ts >= (SELECT min(minute) FROM late_minutes) AND ts < (SELECT max(minute) FROM late_minutes) + 60
)
WHERE (toStartOfMinute(ts)::DateTime('UTC'), advertiser, campaign, creative, placement) IN late_minutes
GROUP BY minute, advertiser, campaign, creative, placement;

ALTER TABLE reach_sets_fill MODIFY QUERY
SELECT
    toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice, advertiser, campaign, creative, placement,
    uniqExactState(visitor) AS visitors
FROM facts
WHERE kind IN ('impression', 'open', 'view') AND verdict = 'valid' AND visitor != 0
GROUP BY slice, advertiser, campaign, creative, placement;
