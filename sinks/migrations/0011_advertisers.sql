-- Advertisers that were added; who is counted, the setting PIXELTALLY_ADVERTISERS says.
CREATE TABLE IF NOT EXISTS advertisers
(
    advertiser LowCardinality(String),
    added_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY advertiser;
