"""Puts dead letters back: what can be counted by now goes on its way again, each letter once.

A hit's number (`seq`) must grow within a node, and letters are put back in any order: so each run is a node of its own.
That the same letter never counts twice is made sure before: one run at a time, which waits until all that is in Kafka
is in ClickHouse, and leaves out the letters whose hits are there.
"""

import os
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from ingest import letters, packing, request
from ingest.letters import Chosen, Letter
from ingest.reading import Uncountable
from ingest.sending import Sender, partition_count
from ingest.spool import try_lock
from pixeltally import topics
from pixeltally.arrival import settle
from pixeltally.errors import Refused
from pixeltally.hit import NAME_PATTERN, PUT_BACK, Fact, Hit
from pixeltally.identity import hit_id
from pixeltally.settings import Settings

#: Letters that are asked for by their ids in one query.
_AT_A_TIME = 1000

_DAY_MS = 86_400_000
_NAME = re.compile(NAME_PATTERN, re.ASCII)

Judge = Callable[[Letter], Hit]


@dataclass
class Outcome:
    """What became of the letters."""

    put_back: int = 0
    before: int = 0  #: that had been put back before
    left: Counter[str] = field(default_factory=Counter)  #: that still can't be counted, by why


def replay(settings: Settings, client: Client, chosen: Sequence[Letter]) -> Outcome:
    """Put back those of the letters that can be counted by now, and wait until they are in ClickHouse."""
    outcome, judge = Outcome(), judgement(settings)
    found: list[Hit] = []
    with _alone(settings.data):
        sender, partitions = Sender(settings), partition_count(settings)
        settle(settings)
        before = letters.put_back(client)
        for letter in chosen:
            if letter.id in before:
                outcome.before += 1
                continue
            try:
                found.append(judge(letter))
            except Uncountable as reason:
                outcome.left[str(reason)] += 1
        _number(found)
        for message in packing.messages([hit for hit in found if not isinstance(hit, Fact)], partitions):
            sender.send(message)
        sender.finish()
        for fact in found:
            if isinstance(fact, Fact):
                _insert(client, fact)
        settle(settings)
        outcome.put_back = len({letter.id for letter in chosen} & letters.put_back(client)) - outcome.before
    if lost := len(found) - outcome.put_back:
        outcome.left["refused again: newer dead letters say why"] = lost
    return outcome


def judgement(settings: Settings) -> Judge:
    """A function that gives a letter's hit (its fact, where it had been judged), or raises :class:`Uncountable`."""
    judge = packing.judgement(settings)

    def hit(letter: Letter) -> Hit:
        place = letter.place
        if place.where == "spool":
            read = judge(_request(letter.line, settings), place.node, place.seq)
            if read is None:
                raise Uncountable("its method is answered and not counted")
            return read
        if place.where not in (topics.HITS, topics.FACTS):
            raise Uncountable(f"what stood in {place.where} is not put back: streams tell it again")
        found = _decoded(letter.line, Hit if place.where == topics.HITS else Fact)
        found.id = hit_id(found.ts, letter.origin, 0)
        return found

    return hit


def mended(file: Iterable[bytes], client: Client) -> list[Letter]:
    """The letters of a file as `pixeltally dead show --format json` prints it, with the lines that stand there."""
    lines: dict[str, str] = {}
    for number, text in enumerate(file, 1):
        try:
            said = msgspec.json.decode(text, type=_Mended)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(f'line {number} of the mended letters is not {{"id": …, "line": …}}: {error}.') from None
        [id] = letters.canonical([said.id])
        lines[id] = said.line if isinstance(said.line, str) else msgspec.json.encode(said.line).decode()
    ids = list(lines)
    some = [ids[start : start + _AT_A_TIME] for start in range(0, len(ids), _AT_A_TIME)]
    found = [letter for part in some for letter in letters.find(client, Chosen(tuple(part)))]
    return [replace(letter, line=lines[letter.id]) for letter in found]


class _Mended(msgspec.Struct):
    id: str
    line: str | dict[str, object]


def _request(line: str, settings: Settings) -> bytes:
    """The spool's line; an address that was cut goes, since it would stand for its whole network."""
    if settings.store_ip == "truncated":
        with suppress(msgspec.DecodeError):
            said = request.decode(line)
            said.peer = ""
            return request.encode(said)
    return line.encode()


def _decoded(line: str, kind: type[Hit]) -> Hit:
    try:
        hit = msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise Uncountable(f"not-a-hit: {error}") from None
    names = [hit.advertiser, hit.campaign]
    names += [hit.creative] if hit.kind != "conversion" else []
    names += [hit.placement] if hit.placement else []
    if not all(map(_NAME.fullmatch, names)):
        raise Uncountable("not-a-hit: its names are no ad unit's")
    if not 0 <= hit.ts <= time.time() * 1000 + _DAY_MS:
        raise Uncountable("not-a-hit: its time is before 1970 or to come")
    if not 0 <= hit.visitor < 1 << 64:
        raise Uncountable("not-a-hit: its visitor is no 64-bit number")
    return hit


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    data.mkdir(parents=True, exist_ok=True)
    lock = try_lock(data, "dead.lock")
    if lock is None:
        raise Refused("another `pixeltally dead replay` is at work: run it again when that one has ended.")
    try:
        yield
    finally:
        os.close(lock)


def _number(hits: list[Hit]) -> None:
    """Make the hits the lines of a new node, in the order of their times."""
    node = PUT_BACK + secrets.token_hex(8)
    hits.sort(key=lambda hit: hit.ts)
    for seq, hit in enumerate(hits):
        hit.node, hit.seq = node, seq


def _insert(client: Client, fact: Fact) -> None:
    """Hand a fact to ClickHouse, as the sink does; streams counted it when they made it."""
    # What is refused again is missing afterwards, and is told then.
    with suppress(DatabaseError):
        client.raw_insert("facts_in", insert_block=msgspec.json.encode(fact), fmt="JSONEachRow")
