-- Who was forgotten, so that hits of theirs which come again, or only now, aren't stored as theirs: see docs/privacy.md.
-- While Kafka may hold such hits, `stand_in` is the random number that took the visitor's place; then nothing links them.
CREATE TABLE IF NOT EXISTS forgotten_visitors
(
    visitor UInt64,
    advertiser LowCardinality(String),  -- empty: every one
    until DateTime64(3, 'UTC'),
    erasure UUID,
    stand_in UInt64 TTL toDateTime(until) + INTERVAL 8 DAY
)
ENGINE = ReplacingMergeTree
ORDER BY (visitor, advertiser, until);

CREATE TABLE IF NOT EXISTS forgotten_addresses
(
    ip IPv6,
    advertiser LowCardinality(String),
    until DateTime64(3, 'UTC'),
    erasure UUID
)
ENGINE = ReplacingMergeTree
ORDER BY (ip, advertiser, until)
TTL toDateTime(until) + INTERVAL 8 DAY;

CREATE TABLE IF NOT EXISTS forgotten_letters (id UUID) ENGINE = ReplacingMergeTree ORDER BY id;

-- What was erased, and never whose it was: facts that were made nobody's, by what they were counted as.
CREATE TABLE IF NOT EXISTS erasures
(
    erasure UUID,
    at DateTime64(3, 'UTC'),
    kind LowCardinality(String),  -- ip or subscriber
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    month Date,
    hits UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (advertiser, campaign, month, erasure);

-- The hits of forgotten visitors and addresses until then keep what is counted and nothing of who it was. One whose
-- stand-in is no longer known has been stored long ago.
ALTER TABLE facts_fill MODIFY QUERY
SELECT
    * EXCEPT (visitors_forgotten, addresses_forgotten, gone, is_gone, is_bare)
    REPLACE
    (
        if(is_gone, gone.3, visitor) AS visitor,
        if(is_gone, '', subscriber) AS subscriber,
        if(is_bare, toIPv6('::'), ip) AS ip,
        if(is_bare, '', country) AS country,
        if(is_bare, 0, asn) AS asn,
        if(is_bare, '', isp) AS isp,
        if(is_bare, '', user_agent) AS user_agent,
        if(is_bare, '', browser) AS browser,
        if(is_bare, '', os) AS os,
        if(is_bare, '', device) AS device,
        if(is_bare, '', referer) AS referer,
        if(is_bare, mapFilter((name, value) -> name = 'to', params), params) AS params
    )
FROM
(
    SELECT
        *,
        arrayFirst(each -> ts <= each.1 AND each.2 IN ('', advertiser), visitors_forgotten) AS gone,
        gone.1 != 0 AS is_gone,
        is_gone OR arrayExists(each -> ts <= each.1 AND each.2 IN ('', advertiser), addresses_forgotten) AS is_bare
    FROM (SELECT * REPLACE fromUnixTimestamp64Milli(ts, 'UTC') AS ts FROM facts_in) AS hits
    ANY LEFT JOIN
    (
        SELECT visitor, arraySort(groupArray((until, advertiser, stand_in))) AS visitors_forgotten
        FROM forgotten_visitors GROUP BY visitor
    ) AS visitors USING (visitor)
    ANY LEFT JOIN
    (
        SELECT ip, groupArray((until, advertiser)) AS addresses_forgotten
        FROM forgotten_addresses GROUP BY ip
    ) AS addresses USING (ip)
)
WHERE NOT (is_gone AND gone.3 = 0);

-- Where lines of pixeltally.dead are inserted as they are.
CREATE TABLE IF NOT EXISTS dead_letters_in
(
    id UUID,
    ts Int64,
    reason LowCardinality(String),
    origin String,
    line String
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS dead_letters_fill TO dead_letters AS
SELECT * FROM dead_letters_in WHERE id NOT IN (SELECT id FROM forgotten_letters);
