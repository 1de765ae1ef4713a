-- As in 0034_counted_slices.sql and 0037_days_planned_once.sql, but late minutes are joined and not looked up in a list of
-- all: so whoever asks for some days, ad units or open days alone reads the late minutes of these alone. The import of a
-- year's log leaves millions.
CREATE OR REPLACE VIEW recounted_minutes AS
WITH (SELECT (min(minute), max(minute)) FROM late_minutes) AS span
SELECT
    minute, advertiser, campaign, creative, placement,
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
        toStartOfMinute(ts)::DateTime('UTC') AS minute,
        if(verdict = 'unregistered', '~unregistered', f.advertiser) AS advertiser,
        if(verdict = 'unregistered', '~unregistered', f.campaign) AS campaign,
        if(verdict = 'unregistered', '~unregistered', f.creative) AS creative,
        if(verdict = 'unregistered', '', f.placement) AS placement,
        kind, visitor, verdict, duplicate, impression_id, value,
        kind IN ('impression', 'open', 'view') AS image, NOT duplicate AND verdict = 'valid' AS counted
    FROM facts AS f FINAL
    WHERE ts >= span.1 AND ts < toDateTime64(span.2 + 60, 3)
) AS hits
LEFT SEMI JOIN
(
    SELECT minute, advertiser, campaign, creative, placement
    FROM late_minutes
    LEFT ANTI JOIN settled_minutes USING (minute, advertiser, campaign, creative, placement)
) AS open_minutes
USING (minute, advertiser, campaign, creative, placement)
GROUP BY minute, advertiser, campaign, creative, placement
SETTINGS optimize_move_to_prewhere_if_final = 1;

CREATE OR REPLACE VIEW minute_parts AS
WITH toUInt64(r.invalid - arraySum(mapValues(r.reasons))) AS unrecorded
SELECT
    minute, advertiser, campaign, creative, placement, gross, r.invalid AS invalid, duplicates, valid, uniques, clicks,
    attributed_clicks, conversions, revenue,
    if(unrecorded = 0, r.reasons, mapUpdate(r.reasons, map('unrecorded', unrecorded))) AS reasons
FROM (SELECT * FROM minute_rows FINAL WHERE NOT late) AS r
LEFT ANTI JOIN late_minutes USING (minute, advertiser, campaign, creative, placement)
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
