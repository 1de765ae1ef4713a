-- Reach over any days, the first and the last included, in a time zone.
CREATE VIEW IF NOT EXISTS reach_between AS
SELECT
    advertiser, campaign, creative, placement,
    impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT advertiser, campaign, creative, placement, sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes
    WHERE toDate(minute, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign, creative, placement
) AS counts
LEFT JOIN
(
    SELECT advertiser, campaign, creative, placement, uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign, creative, placement
) AS sets USING (advertiser, campaign, creative, placement);

CREATE VIEW IF NOT EXISTS campaign_reach_between AS
SELECT advertiser, campaign, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT advertiser, campaign, sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes
    WHERE toDate(minute, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign
) AS counts
LEFT JOIN
(
    SELECT advertiser, campaign, uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser, campaign
) AS sets USING (advertiser, campaign);

CREATE VIEW IF NOT EXISTS advertiser_reach_between AS
SELECT advertiser, impressions, uniques, duplicates, impressions / nullIf(uniques, 0) AS frequency
FROM
(
    SELECT advertiser, sum(valid) AS impressions, sum(minutes.duplicates) AS duplicates
    FROM minutes
    WHERE toDate(minute, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser
) AS counts
LEFT JOIN
(
    SELECT advertiser, uniqExactMerge(visitors) AS uniques
    FROM reach_sets
    WHERE toDate(slice, {tz:String}) BETWEEN {first:Date} AND {last:Date}
    GROUP BY advertiser
) AS sets USING (advertiser);
