-- As before, and hits of ad units that are not counted stand under one name, as streams tell them.
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
    uniqExactIf(visitor, image AND verdict = 'valid') AS uniques,
    countIf(kind = 'click' AND counted) AS clicks,
    countIf(kind = 'click' AND counted AND impression_id != toUUID('00000000-0000-0000-0000-000000000000'))
        AS attributed_clicks,
    countIf(kind = 'conversion' AND counted) AS conversions,
    sumIf(value, kind = 'conversion' AND counted) AS revenue
FROM
(
    SELECT
        * REPLACE
        (
            if(verdict = 'unregistered', '~unregistered', advertiser) AS advertiser,
            if(verdict = 'unregistered', '~unregistered', campaign) AS campaign,
            if(verdict = 'unregistered', '~unregistered', creative) AS creative,
            if(verdict = 'unregistered', '', placement) AS placement
        ),
        kind IN ('impression', 'open', 'view') AS image, NOT duplicate AND verdict = 'valid' AS counted
    FROM facts FINAL
    WHERE ts >= (SELECT min(minute) FROM late_minutes) AND ts < (SELECT max(minute) FROM late_minutes) + 60
)
WHERE (toStartOfMinute(ts)::DateTime('UTC'), advertiser, campaign, creative, placement) IN late_minutes
GROUP BY minute, advertiser, campaign, creative, placement;
