-- Impressions of whole days (UTC) by where they came from: `of` says by what (country, isp, device), `name` which. Counted
-- when a day is at rest, as in 0034_counted_slices.sql.
CREATE TABLE IF NOT EXISTS counted_origins
(
    day Date,
    of LowCardinality(String),
    name LowCardinality(String),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    impressions UInt64,
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
PARTITION BY toYYYYMM(day)
ORDER BY (of, advertiser, campaign, creative, placement, day, name);

-- Days are counted anew, with these.
TRUNCATE TABLE counted_days;

-- Impressions from one moment until before another, by `of`. Of days that lie between them whole, are counted and whose
-- facts are all there, what was counted; of the others facts. `gaps`: days among the former that are none.
CREATE OR REPLACE VIEW origins_between AS
WITH
    (SELECT groupArray((day, as_of)) FROM days WHERE is_counted) AS counted,
    (SELECT before FROM horizon) AS kept_from,
    arrayFilter
    (
        each -> toDateTime(each.1, 'UTC') >= {since:DateTime('UTC')} AND toDateTime(each.1 + 1, 'UTC') <= {until:DateTime('UTC')}
            AND toDateTime(each.1, 'UTC') >= kept_from,
        counted
    ) AS closed,
    toDateTime(arrayMin(closed.1), 'UTC') AS low,
    toDateTime(arrayMax(closed.1) + 1, 'UTC') AS high,
    arrayFilter(day -> NOT has(closed.1, day), arrayMap(n -> toDate(low) + n, range(toUInt32(toDate(high) - toDate(low))))) AS gaps
SELECT advertiser, campaign, creative, placement, name, impressions
FROM counted_origins
WHERE of = {of:String} AND (day, as_of) IN (SELECT arrayJoin(closed))
UNION ALL
SELECT
    advertiser, campaign, creative, placement,
    if({of:String} = 'country', country, if({of:String} = 'isp', isp, device)) AS name, count() AS impressions
FROM facts FINAL
WHERE kind IN ('impression', 'open', 'view') AND verdict = 'valid' AND NOT duplicate
    AND ts >= {since:DateTime('UTC')} AND ts < toDateTime64({until:DateTime('UTC')}, 3)
    AND (ts < low OR ts >= toDateTime64(high, 3) OR length(gaps) > 0 AND has(gaps, toDate(ts)))
GROUP BY advertiser, campaign, creative, placement, name
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;
