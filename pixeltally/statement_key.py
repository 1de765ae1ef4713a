"""The key that signs statements: Ed25519 (RFC 8032), one an installation, in the data folder with mode 600.

Whoever has its public half can check a statement and make none.
"""

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pixeltally.errors import Refused
from pixeltally.files import made_once

FILE = "statement.key"

#: What is signed begins so: a signature for one purpose is none for another.
_PURPOSE = b"pixeltally statement\n"


class StatementKey:
    """The private key; made where there is none."""

    def __init__(self, data: Path) -> None:
        """Raises :class:`Refused` where the file is no key."""
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(_secret(data / FILE))
        except ValueError:
            raise Refused(f"{data / FILE} is no statement key: put back its copy, 64 hexadecimal digits") from None

    @property
    def public(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, content: bytes) -> str:
        """The signature, 128 hexadecimal digits: always the same of the same content."""
        return self._key.sign(_PURPOSE + content).hex()


def is_signed(public: str, content: bytes, signature: str) -> bool:
    """Whether the key made the signature. Raises ValueError where either is none."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    try:
        key.verify(bytes.fromhex(signature), _PURPOSE + content)
    except InvalidSignature:
        return False
    return True


def _secret(path: Path) -> bytes:
    return bytes.fromhex(made_once(path, secrets.token_hex(32).encode()).decode("ascii").strip())
