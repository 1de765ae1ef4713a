"""Amounts of money: exact decimals, rounded to what a currency has coins for (ISO 4217), half up."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from iso4217 import Currency

from pixeltally.errors import Refused

#: Decimals and digits before the point that a price or budget may have.
_PLACES, _DIGITS = 6, 12


def decimal(text: str, what: str) -> Decimal:
    """A plain decimal that is not negative; raises :class:`Refused`."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value >= 10**_DIGITS or value != round(value, _PLACES):
        raise Refused(
            f"{what} {text!r} is no amount: a decimal such as 10.00, at most {_PLACES} places after the point"
        )
    return value


def minor_units(currency: str) -> int:
    """Decimals of the currency's smallest coin: 2 for EUR, 0 for JPY, 3 for KWD. Raises :class:`Refused`."""
    places = _places(currency)
    if places is None:
        raise Refused(f"{currency!r} is no currency of ISO 4217: three capital letters such as EUR")
    return places


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount in whole minor units, half up: 0.005 EUR is 0.01 EUR."""
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), ROUND_HALF_UP)


def plain(amount: Decimal, currency: str) -> str:
    """`1250.00`: to the minor unit, and to the last decimal where there are more.

    The currency may be one that nobody knows, as conversions say it, or none.
    """
    return f"{amount:.{_shown(amount, currency)}f}"


def text(amount: Decimal, currency: str) -> str:
    """`1,250.00 EUR`: the same for people."""
    return f"{amount:,.{_shown(amount, currency)}f} {currency}".rstrip()


def _shown(amount: Decimal, currency: str) -> int:
    return max(_places(currency) or 0, -int(amount.normalize().as_tuple().exponent))


def _places(currency: str) -> int | None:
    try:
        places: int | None = Currency(currency).exponent
    except ValueError:
        return None
    return places
