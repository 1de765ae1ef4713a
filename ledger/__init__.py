"""The ledger: what was counted, what it is worth and to whom, asked from ClickHouse."""
