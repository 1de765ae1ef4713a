"""Pipeline health: whether the numbers are fresh and whole, as far as ClickHouse knows.

What Kafka and the spool hold is told by the tiers' Prometheus metrics, not by ClickHouse.
"""

from dashboards.boards.board import FILL, GAPS, Board, Place, counts
from dashboards.panel import Column, Panel

FRESHNESS = Panel(
    id="pipeline-freshness",
    title="Age of the newest hit",
    description="How long ago the newest hit in ClickHouse was answered. It grows while nobody asks for a pixel, too.",
    picture="stat",
    columns=(Column("age", "Age", "seconds", warn=60, alarm=600), Column("at", "Answered", "time")),
    sql="""
SELECT dateDiff('millisecond', newest, now64(3)) / 1000 AS age, newest AS at
FROM (SELECT max(ts) AS newest FROM impressions WHERE ts > now() - INTERVAL 7 DAY HAVING count() > 0)
""",
)

MINUTE_LAG = Panel(
    id="pipeline-minute-lag",
    title="Minutes behind hits",
    description="The newest hit's minute less the newest minute that the windows counted: what streams are behind.",
    picture="stat",
    columns=(Column("lag", "Behind", "seconds", warn=60, alarm=300),),
    sql="""
SELECT greatest(dateDiff('second', counted, toStartOfMinute(newest)), 0) AS lag
FROM
(SELECT max(ts) AS newest FROM impressions WHERE ts > now() - INTERVAL 7 DAY HAVING count() > 0) AS i,
(SELECT max(minute) AS counted FROM minute_parts WHERE minute > now() - INTERVAL 7 DAY HAVING count() > 0) AS m
""",
)

DEAD_LETTERS = Panel(
    id="pipeline-dead-letters",
    title="Dead letters",
    description="Requests that could not be counted, kept with the reason.",
    picture="stat",
    columns=(
        Column("dead_letters", "Dead letters", warn=1, alarm=100, note="{reasons}"),
        Column("reasons", "Reasons", "text", shown=False),
    ),
    sql="""
SELECT count() AS dead_letters, arrayStringConcat(arraySort(groupUniqArray(reason)), ', ') AS reasons
FROM (SELECT reason, fromUnixTimestamp64Milli(ts, 'UTC') AS found FROM dead_letters FINAL)
WHERE $__timeFilter(found)
""",
)

_RECONCILED = "SELECT *, `to` AS judged FROM reconciliations FINAL"

RECONCILED = Panel(
    id="pipeline-reconciled",
    title="Reconciliation",
    description="Each stage is counted again from sources that don't know of each other, every five minutes:"
    " by how many hits they differ. docs/proof.md says what to do.",
    picture="stat",
    columns=(
        Column("difference", "Difference", alarm=1, note="{lost} lost, {facts} hits compared"),
        Column("judged", "Compared up to", "time"),
        Column("lost", "Answered, then lost", shown=False),
        Column("facts", "Facts", shown=False),
    ),
    sql=f"""
SELECT
    if(count() = 0, NULL, sum(difference)) AS difference, if(count() = 0, NULL, max(r.judged)) AS judged,
    sum(r.lost) AS lost, sum(r.facts) AS facts
FROM ({_RECONCILED}) AS r
WHERE $__timeFilter(r.judged)
""",
)

STAGES = Panel(
    id="pipeline-stages",
    title="Hits at each stage",
    description="What each reconciliation found; `pixeltally reconcile` says where stages differ. Kafka's is unknown"
    " where it keeps the range no more.",
    picture="table",
    columns=(
        Column("judged", "Up to", "time"),
        Column("answered", "Answered"),
        Column("lost", "Lost", alarm=1),
        Column("spooled", "Spooled"),
        Column("dead", "Dead letters"),
        Column("imported", "Imported"),
        Column("in_kafka", "In Kafka"),
        Column("facts", "In ClickHouse"),
        Column("windows", "Images in windows"),
        Column("difference", "Difference", alarm=1),
    ),
    nothing="Nothing was reconciled then; the sink does so every five minutes, and `pixeltally reconcile` at once.",
    sql=f"""
SELECT judged, answered, lost, spooled, dead, imported, in_kafka, facts, windows_gross AS windows, difference
FROM ({_RECONCILED})
WHERE $__timeFilter(judged)
ORDER BY judged DESC
LIMIT 100
""",
)

RATE = Panel(
    id="pipeline-rate",
    title="Requests a second",
    description="Requests for images that were counted, invalid or duplicate, by when they were answered.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("rate", "Requests", "per_second")),
    sql=f"""
SELECT $__timeInterval(start) AS time, sum(gross) / greatest($__interval_s, 60) AS rate
FROM {counts(steps=True)}
GROUP BY time
ORDER BY time {FILL}
""",
)

LETTERS_OVER_TIME = Panel(
    id="pipeline-letters-over-time",
    title="Dead letters by reason",
    description="By when they were found.",
    picture="series",
    columns=(Column("time", "Time", "time"), Column("reason", "Reason", "text"), Column("letters", "Dead letters")),
    sql="""
SELECT $__timeInterval(found) AS time, reason, count() AS letters
FROM (SELECT reason, fromUnixTimestamp64Milli(ts, 'UTC') AS found FROM dead_letters FINAL)
WHERE $__timeFilter(found)
GROUP BY time, reason
ORDER BY time, reason
""",
)

SPOOLS = Panel(
    id="pipeline-spools",
    title="Spools",
    description="Each spool that hits came from (an ingest node, an nginx, an import): how long ago its newest hit in"
    " ClickHouse was answered. One that lags behind the others is not shipped.",
    picture="table",
    columns=(
        Column("node", "Spool", "text"),
        Column("hits", "Hits", shaded=True),
        Column("newest", "Newest hit", "time"),
        Column("age", "Age", "seconds", warn=60, alarm=600),
    ),
    sql="""
SELECT node, count() AS hits, max(ts) AS newest, dateDiff('millisecond', newest, now64(3)) / 1000 AS age
FROM facts FINAL
WHERE $__timeFilter(ts)
GROUP BY node
ORDER BY newest DESC, node
LIMIT 50
""",
)

LETTERS = Panel(
    id="pipeline-letters",
    title="Dead letters in detail",
    description="docs/dead-letters.md says what each reason means and what to do.",
    picture="table",
    columns=(
        Column("reason", "Reason", "text"),
        Column("letters", "Dead letters", warn=1, alarm=100),
        Column("last", "Last", "time"),
        Column("origin", "Last origin", "text"),
        Column("line", "Last line", "text"),
    ),
    sql="""
SELECT
    reason, count() AS letters, max(found) AS last, argMax(origin, found) AS origin,
    argMax(left(line, 200), found) AS line
FROM (SELECT *, fromUnixTimestamp64Milli(ts, 'UTC') AS found FROM dead_letters FINAL)
WHERE $__timeFilter(found)
GROUP BY reason
ORDER BY letters DESC, reason
""",
)

BOARD = Board(
    uid="pixeltally-pipeline",
    title="Pipeline health",
    description="Whether the numbers are fresh and whole, as far as ClickHouse knows.",
    places=(
        Place(FRESHNESS, 8, 5),
        Place(MINUTE_LAG, 4, 5),
        Place(RECONCILED, 8, 5),
        Place(DEAD_LETTERS, 4, 5),
        Place(RATE, 12),
        Place(LETTERS_OVER_TIME, 12),
        Place(SPOOLS, 24, 6),
        Place(STAGES, 24, 8),
        Place(LETTERS, 24),
    ),
    annotations=(GAPS,),
    refresh="30s",
    since="now-6h",
)
