-- What each closed segment of a spool held, by minute of its lines (0: of lines whose time can't be read): `answered`
-- and `lost` as counted by whoever answered, the rest by whoever closed it. Told again, a segment replaces its row.
CREATE TABLE IF NOT EXISTS segments
(
    node LowCardinality(String),
    segment UInt64,
    minutes Array(DateTime('UTC')),
    answered Array(UInt64),
    lost Array(UInt64),
    spooled Array(UInt64),
    unanswered Array(UInt64),
    other_methods UInt64,
    closed Int64
)
ENGINE = ReplacingMergeTree(closed)
ORDER BY (node, segment);

-- The same, a row a minute.
CREATE VIEW IF NOT EXISTS spooled_minutes AS
SELECT node, segment, minute, answered, lost, spooled, unanswered
FROM
(
    SELECT node, segment, minutes, answered AS a, lost AS l, spooled AS s, unanswered AS u FROM segments FINAL
)
ARRAY JOIN minutes AS minute, a AS answered, l AS lost, s AS spooled, u AS unanswered;
