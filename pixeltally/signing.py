"""Signed click targets: without the key nobody can make our click links point elsewhere."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256


def sign(key: bytes, unit_path: str, target: str) -> str:
    """The signature `k` of a click link: 128 bits of HMAC-SHA-256 (RFC 2104) in URL-safe base64.

    `unit_path` is `advertiser/campaign/creative[/placement]`, `target` the URL that the click leads to.
    """
    mac = hmac.digest(key, f"{unit_path}\n{target}".encode("utf-8", "surrogatepass"), sha256)
    return urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()


def is_signed(key: bytes, unit_path: str, target: str, signature: str) -> bool:
    """Whether `signature` is that of the target, compared in constant time."""
    return hmac.compare_digest(sign(key, unit_path, target).encode(), signature.encode("utf-8", "replace"))
