-- What a browser says a request is for, and how an e-mail was opened as far as the request tells.
ALTER TABLE facts_in
    ADD COLUMN IF NOT EXISTS purpose LowCardinality(String),
    ADD COLUMN IF NOT EXISTS evidence LowCardinality(String);

ALTER TABLE facts
    ADD COLUMN IF NOT EXISTS purpose LowCardinality(String),
    ADD COLUMN IF NOT EXISTS evidence LowCardinality(String);

ALTER TABLE facts_fill MODIFY QUERY
SELECT * REPLACE fromUnixTimestamp64Milli(ts, 'UTC') AS ts FROM facts_in;

-- E-mails' opens with what they prove: machine (opened by a program that opens all), proxy (an e-mail service fetched
-- the image for whom read it), probable (nothing speaks against a person), confirmed (the subscriber clicked, in the
-- same campaign). A click confirms only a subscriber that the URL names, and only a valid click does.
CREATE VIEW IF NOT EXISTS opens AS
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
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- What later rules say of facts, beside the first answer, which stays: a row for each fact and version of the rules.
CREATE TABLE IF NOT EXISTS rerates
(
    id UUID,
    ts DateTime64(3, 'UTC'),
    kind LowCardinality(String),
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    creative LowCardinality(String),
    placement LowCardinality(String),
    rules_version LowCardinality(String),
    first_verdict LowCardinality(String),
    verdict LowCardinality(String),
    reasons Array(LowCardinality(String)),
    evidence LowCardinality(String),
    rated_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(rated_at)
PARTITION BY toYYYYMM(ts)
ORDER BY (advertiser, campaign, creative, placement, kind, ts, id, rules_version);
