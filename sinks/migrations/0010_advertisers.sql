-- Advertisers that were added; who is counted, the setting PIXELTALLY_ADVERTISERS says.
CREATE TABLE IF NOT EXISTS advertisers
(
    advertiser LowCardinality(String),
    added_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY advertiser;

-- Whom a campaign was sent to, one row a subscriber; the last import wins. `sent_at` 0: not said.
CREATE TABLE IF NOT EXISTS sent_list
(
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    visitor UInt64,
    subscriber String,
    sent_at DateTime64(3, 'UTC'),
    imported_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(imported_at)
ORDER BY (advertiser, campaign, visitor);

-- Per campaign and subscriber or visitor: whether it was sent, opened (its image was asked for), clicked, converted, and
-- when first. A conversion is of whoever clicked the click that it names, else of its own visitor: the Thank-You page
-- rarely knows the subscriber. Only valid hits count, and nobody (visitor 0) stands in no row. `evidence` is the strongest
-- that its e-mail's opens have: probable, proxy or machine (see the view opens); that it clicked is stronger than any.
CREATE VIEW IF NOT EXISTS funnel AS
SELECT
    advertiser, campaign, visitor, max(who) AS subscriber,
    countIf(step = 'sent') > 0 AS sent,
    countIf(step = 'opened') > 0 AS opened,
    countIf(step = 'clicked') > 0 AS clicked,
    countIf(step = 'converted') > 0 AS converted,
    multiIf(has(groupUniqArray(proof) AS proofs, 'probable'), 'probable', has(proofs, 'proxy'), 'proxy', has(proofs, 'machine'), 'machine', '')
        AS evidence,
    minOrNullIf(ts, step = 'sent' AND ts != 0) AS sent_at,
    minOrNullIf(ts, step = 'opened') AS opened_at,
    minOrNullIf(ts, step = 'clicked') AS clicked_at,
    minOrNullIf(ts, step = 'converted') AS converted_at,
    countIf(step = 'converted') AS conversions
FROM
(
    SELECT advertiser, campaign, visitor, subscriber AS who, 'sent' AS step, sent_at AS ts, '' AS proof
    FROM sent_list FINAL
    UNION ALL
    SELECT
        advertiser, campaign, visitor, subscriber, if(kind = 'click', 'clicked', 'opened'), ts,
        if(kind = 'open', evidence, '')
    FROM facts FINAL
    WHERE kind IN ('impression', 'open', 'view', 'click') AND verdict = 'valid'
    UNION ALL
    SELECT
        advertiser, campaign, if(clicker = 0, own, clicker), if(clicker = 0, own_subscriber, clicker_subscriber),
        'converted', ts, ''
    FROM
    (
        SELECT advertiser, campaign, ts, click_id, visitor AS own, subscriber AS own_subscriber
        FROM conversions
        WHERE verdict = 'valid' AND NOT duplicate
    ) AS orders
    LEFT ANY JOIN
    (
        SELECT advertiser, campaign, id AS click_id, visitor AS clicker, subscriber AS clicker_subscriber
        FROM clicks
    ) AS named USING (advertiser, campaign, click_id)
)
WHERE visitor != 0
GROUP BY advertiser, campaign, visitor;
