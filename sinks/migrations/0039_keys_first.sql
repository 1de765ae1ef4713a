-- Views over facts look at the columns that facts are sorted by first, and read of the others what is left: rows that
-- replace each other have the same in these. Else as in 0001_facts.sql, 0006_verdicts.sql, 0019_orders.sql and
-- 0036_days_between.sql.
CREATE OR REPLACE VIEW impressions AS
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, referer, params, verdict, reasons, rules_version, duplicate
FROM facts FINAL
WHERE kind IN ('impression', 'open', 'view')
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;

CREATE OR REPLACE VIEW clicks AS
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, referer, params, verdict, reasons, rules_version, duplicate,
    impression_id, seconds_to_click
FROM facts FINAL
WHERE kind = 'click'
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;

CREATE OR REPLACE VIEW opens AS
SELECT
    id, ts, advertiser, campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, verdict, reasons, rules_version, duplicate,
    if(
        subscriber != '' AND (advertiser, campaign, subscriber) IN
        (
            SELECT advertiser, campaign, subscriber FROM facts FINAL
            WHERE kind = 'click' AND verdict = 'valid' AND subscriber != ''
        ),
        'confirmed',
        evidence
    ) AS evidence
FROM facts FINAL
WHERE kind = 'open'
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;

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
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;

CREATE OR REPLACE VIEW followed_clicks AS
SELECT advertiser, campaign, id AS click_id, creative, placement, visitor AS clicker
FROM facts FINAL
WHERE kind = 'click' AND id IN (SELECT click_id FROM facts WHERE kind = 'conversion')
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1;
