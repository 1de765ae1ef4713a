"""Every metric, declared once."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter("pixeltally_ingest_requests", "Requests answered and spooled, by route", ["route"])
LOST = Counter("pixeltally_ingest_lost", "Requests answered that the spool could not take (disk full)")
SHIPPED = Counter("pixeltally_ingest_shipped", "Hits handed to Kafka by the shipper")
DEAD = Counter("pixeltally_dead", "Lines that could not be processed, by reason", ["reason"])
SPOOL_BACKLOG = Gauge(
    "pixeltally_ingest_spool_backlog_bytes",
    "Bytes of the spool not yet read by the shipper",
    multiprocess_mode="livesum",
)
