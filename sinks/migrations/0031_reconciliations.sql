-- What `reconcile` found by itself, every few minutes: hits at each stage, and by how many the stages differ in all.
-- Of no advertiser. `in_kafka` is empty where Kafka keeps the range no more.
CREATE TABLE IF NOT EXISTS reconciliations
(
    at DateTime64(3, 'UTC'),
    `from` DateTime('UTC'),
    `to` DateTime('UTC'),
    answered UInt64,
    lost UInt64,
    spooled UInt64,
    dead UInt64,
    imported UInt64,
    put_back UInt64,
    in_kafka Nullable(UInt64),
    facts UInt64,
    facts_gross UInt64,
    windows_gross UInt64,
    facts_uniques UInt64,
    reach_uniques UInt64,
    difference UInt64
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(`to`)
ORDER BY (`to`, `from`);
