"""Whether a line that could not be counted names a person: dead letters are text of any form."""

import json
import re
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import unquote_plus

from pixeltally.identity import Address

Mentions = Callable[[str], bool]

_ADDRESS = re.compile(r"[0-9a-f]*[:.][0-9a-f:.]+", re.IGNORECASE)


def of_address(ip: Address) -> Mentions:
    """Tells lines that hold the address: in any of its spellings, percent-encoded, with a port or without."""

    def mentions(line: str) -> bool:
        return any(_is(ip, text) for text in _ADDRESS.findall(unquote_plus(line)))

    return mentions


def of_subscriber(name: str) -> Mentions:
    """Tells lines whose `s=`, or whose field `subscriber`, is the name."""
    said = f"(?:{re.escape(name)}|{re.escape(json.dumps(name, ensure_ascii=False)[1:-1])})"
    pattern = re.compile(rf'[?&;/]s={said}(?=$|[&;#\s"\\])|"subscriber":\s*"{said}"')

    def mentions(line: str) -> bool:
        return any(pattern.search(text) for text in (line, unquote_plus(line)))

    return mentions


def _is(ip: Address, text: str) -> bool:
    for part in (text, text.rpartition(":")[0]):
        try:
            found = ip_address(part)
        except ValueError:
            continue
        if ip in (found, getattr(found, "ipv4_mapped", None)):
            return True
    return False
