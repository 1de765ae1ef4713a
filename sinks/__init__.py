"""ClickHouse tier: writes facts, minutes and dead letters, and owns the schema."""
