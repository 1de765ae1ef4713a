-- What campaigns' days cost as it was counted a moment ago, for whoever looks often: `charges` takes longer to plan than
-- most questions take altogether. A month's rows are those of its last count; the others are left behind until they are
-- merged away, or stay, and count for nothing.
CREATE TABLE IF NOT EXISTS charges_kept
(
    advertiser LowCardinality(String),
    campaign LowCardinality(String),
    month Date,
    day Date,
    starts DateTime('UTC'),
    currency LowCardinality(String),
    spent Nullable(Decimal(38, 9)),  -- NULL: can't be told any more
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
PARTITION BY toYear(month)
ORDER BY (advertiser, campaign, month, day, starts);

-- When a month was counted last, to the end.
CREATE TABLE IF NOT EXISTS charged_months
(
    month Date,
    as_of DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(as_of)
ORDER BY month;

CREATE VIEW IF NOT EXISTS charges_lately AS
SELECT advertiser, campaign, day, currency, spent
FROM charges_kept
WHERE (month, as_of) IN (SELECT month, max(as_of) FROM charged_months GROUP BY month);
