-- As in 0013_conversions_joined.sql, but an order's row is the first that counts: one that a scanner or a prefetch reported
-- before does not stand in the buyer's place.
CREATE OR REPLACE VIEW conversions AS
SELECT
    conversion.id AS id, conversion.ts AS ts, kind, conversion.advertiser AS advertiser,
    conversion.campaign AS campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, referer, params, verdict, reasons, rules_version, duplicate,
    `order`, value, currency, click_id, click.impression_id AS impression_id,
    if(click.ts = 0, 0, (toUnixTimestamp64Milli(conversion.ts) - toUnixTimestamp64Milli(click.ts)) / 1000)
        AS seconds_to_conversion
FROM
(
    SELECT * FROM facts FINAL
    WHERE kind = 'conversion'
    ORDER BY duplicate OR verdict != 'valid', ts, id
    LIMIT 1 BY advertiser, campaign, if(`order` = '', toString(id), concat('order ', `order`))
) AS conversion
LEFT JOIN
(
    SELECT id, ts, advertiser, campaign, impression_id FROM facts FINAL
    WHERE kind = 'click' AND id IN (SELECT click_id FROM facts WHERE kind = 'conversion')
) AS click
ON click.id = conversion.click_id AND click.advertiser = conversion.advertiser AND click.campaign = conversion.campaign
SETTINGS do_not_merge_across_partitions_select_final = 1;
