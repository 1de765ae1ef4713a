"""Money as whole ten-thousandths: sums are exact, and ClickHouse's Decimal(…, 4) says the same."""

_PLACES = 4
_ONE = 10_000


def units(value: str) -> int:
    """A conversion's value (`12.5`, or nothing) in ten-thousandths."""
    whole, _, part = value.partition(".")
    return int(whole or 0) * _ONE + int(part.ljust(_PLACES, "0"))


def text(units: int) -> str:
    """Ten-thousandths as a decimal: `12.5000`."""
    whole, part = divmod(units, _ONE)
    return f"{whole}.{part:0{_PLACES}}"
