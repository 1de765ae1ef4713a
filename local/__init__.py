"""The real parts on one machine: Kafka, ClickHouse, the supervisor and demo traffic."""
