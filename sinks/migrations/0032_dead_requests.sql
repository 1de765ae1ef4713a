-- Requests that could not be counted, by the segment and the minute in which they were asked. A torn line has no time.
CREATE VIEW IF NOT EXISTS dead_requests AS
SELECT
    extract(origin, '^spool (.*)@') AS node,
    bitShiftRight(toUInt64OrZero(extract(origin, '@([0-9]+)$')), 40) AS segment,
    toStartOfMinute(
        toDateTime(
            toUInt32(
                if(reason = 'unreadable-line', 0, floor(toFloat64OrZero(extract(line, '^\\{"time":([0-9.]+)')) + 0.0005))
            ),
            'UTC'
        )
    ) AS minute,
    reason
FROM dead_letters FINAL
WHERE startsWith(origin, 'spool ');
