-- What adds up to an ad unit's minute, before it is added up. Sums over many minutes read these, since groups of single
-- minutes are what takes time.
CREATE VIEW IF NOT EXISTS minute_parts AS
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
            (SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late)
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
        toStartOfFifteenMinutes(minute) AS slice, advertiser, campaign, creative, placement,
        sum(part.gross) AS gross, sum(part.valid) AS valid, sum(part.duplicates) AS duplicates,
        sum(part.invalid) AS invalid, sumMap(part.reasons) AS reasons, sum(part.clicks) AS clicks
    FROM minute_parts AS part
    GROUP BY slice, advertiser, campaign, creative, placement
) AS counts
ASOF LEFT JOIN terms
ON counts.advertiser = terms.advertiser AND counts.campaign = terms.campaign AND counts.slice >= terms.starts;
