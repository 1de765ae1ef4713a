"""Signatures: without a key nobody can make our click links point elsewhere, or report conversions.

A signature names the key that made it, `id.mac`, so that it stays valid after a rotation. The macs are HMAC-SHA-256
(RFC 2104) in URL-safe base64; what is signed for one purpose never reads as signed for the other.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from pixeltally.keys import Key


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


def _click_mac(key: Key, unit_path: str, target: str) -> str:
    return _mac(key, f"{unit_path}\n{target}", 16)


def _token_mac(key: Key, advertiser: str) -> str:
    # No ad unit's name begins like this: a click's signature can't pass for a token.
    return _mac(key, f"conversion token\n{advertiser}", 32)


def _mac(key: Key, message: str, size_bytes: int) -> str:
    mac = hmac.digest(key.secret, message.encode("utf-8", "surrogatepass"), sha256)
    return urlsafe_b64encode(mac[:size_bytes]).rstrip(b"=").decode()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
