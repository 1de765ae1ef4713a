"""What the lists find of requests by themselves, for whoever counts again without this tier (`pixeltally verify`)."""

from collections.abc import Iterator, Sequence

import msgspec

from pixeltally.errors import Refused
from pixeltally.hit import Kind
from streams.enrich import Enricher
from streams.networks import LOCAL, SHARED


class _Asked(msgspec.Struct):
    kind: Kind
    ip: str = ""
    user_agent: str = ""
    purpose: str = ""


_decode = msgspec.json.Decoder(_Asked).decode


def judged(enricher: Enricher, lines: Sequence[bytes], before: int = 0) -> Iterator[bytes]:
    """Each request's reasons, and what of its network rules of history ask for.

    Raises :class:`Refused` for a line that is no request; there were so many `before` these.
    """
    asked = [_request(line, number) for number, line in enumerate(lines, before + 1)]
    version, ips = enricher.version(), [each.ip for each in asked]
    rulings = enricher.judge_all(
        [each.kind for each in asked],
        ips,
        [each.user_agent for each in asked],
        [each.purpose for each in asked],
    )
    for ruling, network in zip(rulings, enricher.networks(ips), strict=True):
        named = "shared" if network in SHARED else "local" if network == LOCAL else ""
        answer = {"reasons": ruling.reasons, "network": named, "rules_version": version}
        yield msgspec.json.encode(answer) + b"\n"


def _request(line: bytes, number: int) -> _Asked:
    try:
        return _decode(line)
    except msgspec.DecodeError as error:
        raise Refused(f"line {number} is no request: {error}") from None
