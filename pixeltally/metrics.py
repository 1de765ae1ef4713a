"""Every metric, declared once."""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from pixeltally.errors import Refused

REQUESTS = Counter("pixeltally_ingest_requests", "Requests answered and spooled, by route", ["route"])
WAITING = Gauge(
    "pixeltally_ingest_waiting_requests",
    "Requests answered that wait in memory for room in the spool (disk full)",
    multiprocess_mode="livesum",
)
LOST = Counter("pixeltally_ingest_lost", "Requests answered that neither the spool nor memory could take (disk full)")
SHIPPED = Counter("pixeltally_ingest_shipped", "Hits handed to Kafka by the shipper")
DEAD = Counter("pixeltally_dead", "Lines that could not be processed, by reason", ["reason"])
SPOOL_BACKLOG = Gauge(
    "pixeltally_ingest_spool_backlog_bytes",
    "Bytes of the spool not yet read by the shipper",
    multiprocess_mode="livesum",
)
ARCHIVED = Counter("pixeltally_archived_bytes", "Bytes that the archive has grown by, compressed")

STREAMS_HITS = Counter("pixeltally_streams_hits", "Hits counted")
STREAMS_DUPLICATES = Counter("pixeltally_streams_duplicates", "Hits that were duplicates")
STREAMS_LATE = Counter("pixeltally_streams_late", "Hits out of time, whose minute is recounted from facts")
STREAMS_BATCH = Histogram(
    "pixeltally_streams_batch_hits", "Hits in one message", buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
)
STREAMS_STEP = Counter("pixeltally_streams_step_seconds", "Seconds spent, by step", ["step"])
STREAMS_LAG = Gauge("pixeltally_streams_lag_messages", "Messages of hits not yet counted", ["partition"])
STREAMS_WATERMARK_AGE = Gauge(
    "pixeltally_streams_watermark_age_seconds", "How far behind the clock the newest hit's time is", ["partition"]
)
STREAMS_STATE = Gauge("pixeltally_streams_state_entries", "Visitors, impressions and windows held", ["partition"])
SINK_ROWS = Counter("pixeltally_sink_rows", "Lines inserted, by table", ["table"])
SINK_INSERT = Histogram("pixeltally_sink_insert_seconds", "Seconds that an insert took", ["table"])

RECONCILED_TO = Gauge("pixeltally_reconciled_to_seconds", "Time up to which the stages were compared, epoch seconds")
RECONCILE_DIFFERENCE = Gauge("pixeltally_reconcile_difference_hits", "Hits by which stages differed in the last look")


def serve(host: str, port: int) -> None:
    """Show the metrics of this process over HTTP at `/metrics`, where a port is given. Raises :class:`Refused`."""
    if port:
        try:
            start_http_server(port, host)
        except OSError as error:
            raise Refused(f"Metrics can't be served on {host}:{port}: {error.strerror}.") from None
