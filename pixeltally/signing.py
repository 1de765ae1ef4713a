"""Signatures: without a key nobody can make our click links point elsewhere, or report conversions.

A signature names the key that made it, `id.mac`, so that it stays valid after a rotation. The macs are HMAC-SHA-256
(RFC 2104) in URL-safe base64; what is signed for one purpose never reads as signed for the other.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from pixeltally.hit import NAME_PATTERN
from pixeltally.keys import Key

_VIEW_LINK = re.compile(
    rf"(?P<advertiser>{NAME_PATTERN})~(?P<until>[1-9][0-9]{{0,15}})~(?P<id>[a-z0-9]{{1,16}})\.(?P<mac>[A-Za-z0-9_-]{{43}})",
    re.ASCII,
)


def sign(key: Key, unit_path: str, target: str) -> str:
    """The signature `k` of a click link: key id, and 128 bits of mac.

    `unit_path` is `advertiser/campaign/creative[/placement]`, `target` the URL that the click leads to.
    """
    return f"{key.id}.{_click_mac(key, unit_path, target)}"


def is_signed(keys: Iterable[Key], unit_path: str, target: str, signature: str) -> bool:
    """Whether one of the keys made the signature, compared in constant time.

    Links made before keys had ids hold the mac alone.
    """
    id, dot, mac = signature.rpartition(".")
    return any(
        _same(_click_mac(key, unit_path, target), mac if dot else signature) for key in keys if not dot or key.id == id
    )


def token(key: Key, advertiser: str) -> str:
    """The bearer token with which an advertiser's servers report conversions: `pt.id.mac`, 256 bits of mac."""
    return f"pt.{key.id}.{_token_mac(key, advertiser)}"


def is_token(keys: Iterable[Key], advertiser: str, text: str) -> bool:
    """Whether it is the advertiser's token by one of the keys, compared in constant time."""
    head, _, mac = text.rpartition(".")
    return any(_same(_token_mac(key, advertiser), mac) for key in keys if head == f"pt.{key.id}")


def password(key: Key, advertiser: str) -> str:
    """The password of an advertiser's ClickHouse user: 256 bits, the same again for the same key."""
    return _mac(key, f"clickhouse password\n{advertiser}", 32)


def view_link(key: Key, advertiser: str, until_s: int) -> str:
    """What shows one advertiser's boards on the live page until then (epoch seconds): `advertiser~until~id.mac`."""
    return f"{advertiser}~{until_s}~{key.id}.{_view_mac(key, advertiser, until_s)}"


def viewer(keys: Iterable[Key], text: str, now_s: float) -> tuple[str, int] | None:
    """(advertiser, until) of a link that one of the keys made and that hasn't expired; compared in constant time."""
    match = _VIEW_LINK.fullmatch(text)
    if match is None or int(match["until"]) <= now_s:
        return None
    advertiser, until_s = match["advertiser"], int(match["until"])
    named = (key for key in keys if key.id == match["id"])
    is_ours = any(_same(_view_mac(key, advertiser, until_s), match["mac"]) for key in named)
    return (advertiser, until_s) if is_ours else None


def _click_mac(key: Key, unit_path: str, target: str) -> str:
    return _mac(key, f"{unit_path}\n{target}", 16)


def _token_mac(key: Key, advertiser: str) -> str:
    # No ad unit's name begins like this: a click's signature can't pass for a token.
    return _mac(key, f"conversion token\n{advertiser}", 32)


def _view_mac(key: Key, advertiser: str, until_s: int) -> str:
    return _mac(key, f"live view\n{advertiser}\n{until_s}", 32)


def _mac(key: Key, message: str, size_bytes: int) -> str:
    mac = hmac.digest(key.secret, message.encode("utf-8", "surrogatepass"), sha256)
    return urlsafe_b64encode(mac[:size_bytes]).rstrip(b"=").decode()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
