-- Terms of campaigns as they were set: every change stays, with its time. They hold from the first moment of the day
-- `since` in their time zone: `starts`; since 1970-01-01 is from the beginning.
CREATE TABLE IF NOT EXISTS terms_set
(
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    since Date,
    starts DateTime('UTC'),
    timezone LowCardinality(String),
    pricing LowCardinality(String),  -- cpm, cpc or cpa
    basis LowCardinality(String),  -- unique, valid or gross
    price Decimal(18, 6),
    currency LowCardinality(String),
    budget Decimal(18, 6),  -- 0: none
    plan_start Nullable(Date),
    plan_end Nullable(Date),
    set_at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (advertiser, campaign, set_at);

-- Which terms hold when: from `starts` until before `ends`, or from the day `since` to `last_day`. Of those set for the
-- same day the last counts.
CREATE VIEW IF NOT EXISTS terms AS
SELECT
    *,
    leadInFrame(starts, 1, toDateTime('2106-01-01 00:00:00', 'UTC')) OVER later AS ends,
    leadInFrame(since, 1, toDate('2106-01-01')) OVER later - 1 AS last_day
FROM (SELECT * FROM terms_set ORDER BY set_at DESC LIMIT 1 BY advertiser, campaign, since)
WINDOW later AS
(
    PARTITION BY advertiser, campaign ORDER BY starts ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
);
