"""What a dead letter may hold of a spool's line, where addresses or subscribers must not be kept."""

import re
from collections.abc import Callable

import msgspec

from ingest import request
from ingest.address import Addresses
from ingest.visitor import stored, wants_anonymity
from pixeltally.settings import Settings

_SUBSCRIBER = re.compile(r"((?:[?&;/]|%3F|%26|%3B)(?:s|%73)(?:=|%3D))[^&;?#]*", re.IGNORECASE)


def redactor(settings: Settings) -> Callable[[bytes], str]:
    """A function that gives a spool's line as the settings let it be kept."""
    addresses = Addresses(settings.trusted_proxies)
    anonymity = settings.gpc == "anonymous"
    keeps_all = settings.store_ip == "full" and not anonymity

    def redact(line: bytes) -> str:
        text = line.decode("utf-8", "replace")
        if keeps_all:
            return text
        try:
            said = request.decode(text)
        except msgspec.DecodeError:
            return f"{len(line)} bytes, withheld: what can't be read can't be redacted"
        ip = stored(addresses.client(said.peer, said.forwarded, said.forwarded_for), settings.store_ip)
        if anonymity and wants_anonymity(said):
            path = said.uri.partition("?")[0]
            said = request.Request(
                said.time, path, "", refused=said.refused, gpc=said.gpc, dnt=said.dnt, gpc_left_out=said.gpc_left_out
            )
        elif settings.store_ip != "full":
            said.peer, said.forwarded_for, said.forwarded = ip, "", ""
            if settings.store_ip == "none":
                said.uri = _SUBSCRIBER.sub(r"\1…", said.uri)
        return request.encode(said).decode()

    return redact
