"""A statement's file: is it whole, and who signed it?"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import rfc8785

from pixeltally.errors import Refused
from pixeltally.statement_key import is_signed

FORMAT = "pixeltally statement 1"


class Document(NamedTuple):
    """A statement as it was read."""

    content: dict[str, Any]
    key: str  #: the public key that it names
    problems: list[str]  #: what is wrong with the file


def read(path: Path, expected_key: str) -> Document:
    """Read and check a statement, which `expected_key` signed, or, where that is empty, the key that it names.

    Raises :class:`Refused` where there is no file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.") from None
    try:
        said = json.loads(data, object_pairs_hook=_without_repeats)
        content, key, signature = said["statement"], said["key"], said["signature"]
        canonical = rfc8785.dumps(said) + b"\n"
    except (ValueError, KeyError, TypeError, RecursionError, rfc8785.CanonicalizationError):
        return Document({}, "", ["the file: it is no statement, or not a whole one"])
    problems = []
    if data != canonical:
        problems.append("the file: it is not written as a statement is (RFC 8785), so it was altered")
    if not _is_signed(key, content, signature):
        problems.append(f"the signature: the key {key} did not sign this content")
    if expected_key and key != expected_key:
        problems.append(f"the key: it is signed by {key}, not by {expected_key}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        problems.append(f"the format: it is not {FORMAT!r}")
        content = {}
    return Document(content, key, problems)


def _is_signed(key: str, content: object, signature: str) -> bool:
    try:
        # Of several spellings of the same number only one is right, or a letter could be altered unseen.
        is_plain = bytes.fromhex(key).hex() == key and bytes.fromhex(signature).hex() == signature
        return is_plain and is_signed(key, rfc8785.dumps(content), signature)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return False


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a name stands twice")
    return said
