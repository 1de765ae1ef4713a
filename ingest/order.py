"""What a conversion says of itself: order, value, currency, click. Checks text, field by field; no I/O."""

import re
import uuid
from decimal import Decimal
from typing import NamedTuple

MAX_CHARS = 256

_DECIMAL = re.compile(r"[0-9]{1,14}(\.[0-9]{1,4})?")
_CURRENCY = re.compile(r"[A-Z]{3}")


class Wrong(Exception):
    """A field that can't be used, and why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}")
        self.field = field


class Order(NamedTuple):
    """A conversion's own fields; what was not said is empty."""

    order: str = ""
    value: str = ""  #: exact decimal
    currency: str = ""
    click_id: str = ""


NONE = Order()


def order(text: str) -> str:
    """An order's number, as the shop writes it."""
    return name("order", text)


def name(field: str, text: str) -> str:
    """A name as others write it: printable, of bounded length."""
    if not text.isprintable() or len(text) > MAX_CHARS:
        raise Wrong(field, f"must be at most {MAX_CHARS} printable characters")
    return text


def value(text: str) -> str:
    """An exact decimal that fits Decimal(18,4), in its plain form: `007.50` is `7.50`."""
    if _DECIMAL.fullmatch(text):
        return format(Decimal(text), "f")
    if text.startswith("-"):
        raise Wrong("value", "is negative; what was taken back is no conversion")
    raise Wrong("value", "must be a plain decimal such as 12.50: at most 14 digits, a point and at most 4 more")


def currency(text: str) -> str:
    """An ISO 4217 code, by its shape."""
    if _CURRENCY.fullmatch(text) is None:
        raise Wrong("currency", "must be an ISO 4217 code: three capital letters such as EUR")
    return text


def click(text: str) -> str:
    """The id that a click's target was given as pt_click."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Wrong("click", "is not the id that pt_click held") from None
