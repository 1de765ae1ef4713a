"""Pieces of a fact's line, made once and put into many."""

import msgspec


def fragment(**fields: object) -> bytes:
    """The fields that are not empty, as they stand within a line's braces behind others: `,"asn":3320`."""
    json = msgspec.json.encode({name: value for name, value in fields.items() if value})[1:-1]
    return b"," + json if json else b""
