-- What could not be processed, one row a place of origin.
CREATE TABLE IF NOT EXISTS dead_letters
(
    id UUID,
    ts Int64,
    reason LowCardinality(String),
    origin String,
    line String
)
ENGINE = ReplacingMergeTree
ORDER BY id;
