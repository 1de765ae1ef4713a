-- Where lines of pixeltally.facts are inserted as they are (`ts` in epoch milliseconds).
CREATE TABLE IF NOT EXISTS facts_in
(
    id UUID,
    ts Int64,
    kind LowCardinality(String),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    subscriber String,
    visitor UInt64,
    ip IPv6,
    country LowCardinality(String),
    asn UInt32,
    isp LowCardinality(String),
    user_agent String,
    browser LowCardinality(String),
    os LowCardinality(String),
    device LowCardinality(String),
    referer String,
    params Map(String, String),
    verdict LowCardinality(String),
    reasons Array(LowCardinality(String)),
    rules_version LowCardinality(String),
    duplicate Bool,
    click_id UUID,
    impression_id UUID,
    seconds_to_click Float64,
    seconds_to_conversion Float64,
    `order` String,
    value Decimal(18, 4),
    currency LowCardinality(String),
    node LowCardinality(String),
    seq UInt64,
    version UInt64
)
ENGINE = Null;

-- Every hit with its verdict, one row an id: redelivery and replay replace the row, the highest version wins.
CREATE TABLE IF NOT EXISTS facts
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(ts)
ORDER BY (advertiser, campaign, creative, placement, kind, ts, id)
EMPTY AS SELECT * REPLACE fromUnixTimestamp64Milli(ts, 'UTC') AS ts FROM facts_in;

CREATE MATERIALIZED VIEW IF NOT EXISTS facts_fill TO facts AS
SELECT * REPLACE fromUnixTimestamp64Milli(ts, 'UTC') AS ts FROM facts_in;

CREATE VIEW IF NOT EXISTS impressions AS
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, referer, params, verdict, reasons, rules_version, duplicate
FROM facts FINAL
WHERE kind IN ('impression', 'open', 'view')
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS clicks AS
SELECT
    id, ts, kind, advertiser, campaign, creative, placement, subscriber, visitor, ip, country, asn, isp,
    user_agent, browser, os, device, referer, params, verdict, reasons, rules_version, duplicate,
    impression_id, seconds_to_click
FROM facts FINAL
WHERE kind = 'click'
SETTINGS do_not_merge_across_partitions_select_final = 1;
