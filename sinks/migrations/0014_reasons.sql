-- Why requests were invalid: how many by verdict. Rows that were told before this have none.
ALTER TABLE minute_rows ADD COLUMN IF NOT EXISTS reasons Map(LowCardinality(String), UInt64) AFTER revenue;

ALTER TABLE settled_minutes ADD COLUMN IF NOT EXISTS reasons Map(LowCardinality(String), UInt64) AFTER revenue;

-- As in 0012_settled.sql, with the reasons.
CREATE OR REPLACE VIEW recounted_minutes AS
WITH late_minutes AS
(
    SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows
    WHERE late AND (minute, advertiser, campaign, creative, placement) NOT IN
        (SELECT minute, advertiser, campaign, creative, placement FROM settled_minutes)
)
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
    sumIf(value, kind = 'conversion' AND counted) AS revenue,
    sumMapIf(map(verdict, 1::UInt64), image AND NOT duplicate AND verdict != 'valid') AS reasons
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

-- What `minutes` and `ledger` show parts of. The reasons always add up to the invalid: what was counted before reasons
-- were kept stands under `unrecorded`.
CREATE VIEW IF NOT EXISTS counted_minutes AS
SELECT
    * EXCEPT (recorded, unrecorded),
    if(unrecorded = 0, recorded, mapUpdate(recorded, map('unrecorded', unrecorded))) AS reasons
FROM
(
    SELECT * EXCEPT reasons, reasons AS recorded, toUInt64(invalid - arraySum(mapValues(reasons))) AS unrecorded
    FROM
    (
        SELECT
            minute, advertiser, campaign, creative, placement,
            sum(r.gross) AS gross, sum(r.invalid) AS invalid, sum(r.duplicates) AS duplicates, sum(r.valid) AS valid,
            sum(r.uniques) AS uniques, sum(r.clicks) AS clicks, sum(r.attributed_clicks) AS attributed_clicks,
            sum(r.conversions) AS conversions, sum(r.revenue) AS revenue, sumMap(r.reasons) AS reasons
        FROM minute_rows AS r FINAL
        WHERE NOT late AND (minute, advertiser, campaign, creative, placement) NOT IN
            (SELECT DISTINCT minute, advertiser, campaign, creative, placement FROM minute_rows WHERE late)
        GROUP BY minute, advertiser, campaign, creative, placement
        UNION ALL
        SELECT * FROM recounted_minutes
        UNION ALL
        SELECT * EXCEPT settled_at FROM settled_minutes FINAL
    )
);

CREATE OR REPLACE VIEW minutes AS
SELECT * EXCEPT reasons FROM counted_minutes;

-- Every request for an image has one outcome: gross = valid + duplicates + invalid, and invalid is the sum of its reasons.
CREATE VIEW IF NOT EXISTS ledger AS
SELECT minute, advertiser, campaign, creative, placement, gross, valid, duplicates, invalid, reasons FROM counted_minutes;
