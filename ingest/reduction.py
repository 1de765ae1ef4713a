"""What the archive may hold of a spool's line, where addresses or subscribers must not be kept: what the hit holds.

A reduced line is a request like any other and is read as the same hit: it names its visitor's number and its own place.
"""

from collections.abc import Callable
from urllib.parse import unquote_plus

import msgspec

from ingest import packing, request
from ingest.reading import Uncountable
from ingest.redaction import redactor
from ingest.request import Request
from ingest.spool import split_place
from pixeltally.hit import NOBODY, Hit
from pixeltally.settings import Settings

#: Query fields that are kept of a request that asked not to be known.
_OF_NOBODY = frozenset({"e", "order", "value", "currency", "pt_click", "to"})


def is_needed(settings: Settings) -> bool:
    """Whether lines may not be archived as they came."""
    return settings.store_ip != "full" or settings.gpc == "anonymous"


def reducer(settings: Settings) -> Callable[[bytes, str, int], bytes]:
    """A function that gives (the spool's line, node, seq) as the archive may hold it."""
    judge, redact = packing.judgement(settings), redactor(settings)

    def reduce(line: bytes, node: str, seq: int) -> bytes:
        try:
            hit = judge(line, node, seq)
        except Uncountable as reason:
            reduced = _uncountable(redact(line), str(reason))
        else:
            said = packing.read_request(line)
            reduced = Request(said.time, "", "", method=said.method) if hit is None else _of(said, hit, settings)
        reduced.offset = split_place(seq)[1]
        return request.encode(reduced)

    return reduce


def _of(said: Request, hit: Hit, settings: Settings) -> Request:
    """The request as far as its hit holds it."""
    return Request(
        said.time,
        _uri(said.uri, hit.visitor == NOBODY, settings.store_ip == "none"),
        hit.ip,
        user_agent=hit.user_agent,
        referer=hit.referer,
        gpc=said.gpc,
        dnt=said.dnt,
        purpose=hit.purpose,
        postback=said.postback,
        visitor=hit.visitor,
    )


def _uri(uri: str, is_nobodys: bool, hides_subscriber: bool) -> str:
    path, mark, query = uri.partition("?")
    kept = []
    for field in query.split("&"):
        name = unquote_plus(field.partition("=")[0])
        if name in _OF_NOBODY if is_nobodys else not (hides_subscriber and name == "s"):
            kept.append(field)
    return path + mark + "&".join(kept)


def _uncountable(text: str, reason: str) -> Request:
    """What a dead letter holds of the line, with why it was not counted."""
    try:
        said = request.decode(text)
    except msgspec.DecodeError:
        said = Request(0.0, "", "")
    said.refused = reason
    return said
