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
