"""HTTP tier: answers pixel, click and conversion requests, spools them, ships them to Kafka."""
