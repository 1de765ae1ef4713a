"""Dead letters as ClickHouse keeps them: what they are, where they come from, and which have been put back."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from pixeltally.errors import Refused
from pixeltally.hit import PUT_BACK

_SPOOL = re.compile(r"spool (?P<node>[^@]+)@(?P<seq>\d+)")
_TOPIC = re.compile(r"(?P<topic>[^/]+)/(?P<partition>\d+)@(?P<offset>\d+)#(?P<line>\d+)")

#: An id without its time: of a letter and of the hit that it becomes it is the same.
_OWN = "bitAnd(toUInt128(id), toUInt128('1208925819614629174706175'))"

_PUT_BACK = f"""
{_OWN} IN
(
    SELECT {_OWN} FROM facts
    WHERE startsWith(node, '{PUT_BACK}') AND {_OWN} IN (SELECT {_OWN} FROM dead_letters)
)
"""  # noqa: S608  # of constants


@dataclass(frozen=True)
class Chosen:
    """Which letters are meant: those of all conditions that are given."""

    ids: tuple[str, ...] = ()
    reason: str = ""
    since: datetime | None = None

    def where(self) -> str:
        """The condition as SQL."""
        parts = ["1"]
        parts += ["toString(id) IN %(ids)s"] if self.ids else []
        parts += ["reason = %(reason)s"] if self.reason else []
        parts += ["ts >= %(since)s"] if self.since else []
        return " AND ".join(parts)

    def parameters(self) -> dict[str, object]:
        """What stands in the condition's places."""
        since = self.since and round(self.since.replace(tzinfo=UTC).timestamp() * 1000)
        return {"ids": self.ids, "reason": self.reason, "since": since}


class Count(NamedTuple):
    """How many letters a reason and a kind of origin have."""

    reason: str
    found_in: str  #: `spool`, or a topic
    letters: int
    put_back: int
    newest: datetime


class Origin(NamedTuple):
    """Where a letter's line stands."""

    where: str  #: `spool`, or a topic
    node: str = ""  #: of the spool: whose
    seq: int = 0  #: of the spool: the line's place


@dataclass(frozen=True)
class Letter:
    """A dead letter, and whether its hit has been put back."""

    id: str
    ts: int  #: when it was found, epoch milliseconds
    reason: str
    origin: str
    line: str
    put_back: bool = False

    @property
    def place(self) -> Origin:
        """Its origin, taken apart."""
        if spool := _SPOOL.fullmatch(self.origin):
            return Origin("spool", spool["node"], int(spool["seq"]))
        if topic := _TOPIC.fullmatch(self.origin):
            return Origin(topic["topic"])
        return Origin(self.origin)


def count(client: Client, chosen: Chosen) -> list[Count]:
    """How many there are, most first."""
    sql = f"""
        SELECT
            reason, if(startsWith(origin, 'spool '), 'spool', splitByChar('/', origin)[1]) AS found_in,
            count() AS letters, countIf({_PUT_BACK}), fromUnixTimestamp64Milli(max(ts), 'UTC')
        FROM dead_letters FINAL WHERE {chosen.where()}
        GROUP BY reason, found_in ORDER BY letters DESC, reason, found_in
    """  # noqa: S608  # what users name is in the parameters
    return [Count(*row) for row in client.query(sql, chosen.parameters()).result_rows]


def find(client: Client, chosen: Chosen) -> list[Letter]:
    """The letters themselves, in the order in which they were found; refused where an id that is named isn't there."""
    sql = f"""
        SELECT toString(id), ts, reason, origin, line, {_PUT_BACK}
        FROM dead_letters FINAL WHERE {chosen.where()} ORDER BY ts, origin
    """  # noqa: S608  # as above
    found = [Letter(*row) for row in client.query(sql, chosen.parameters()).result_rows]
    for missing in set(chosen.ids) - {letter.id for letter in found}:
        raise Refused(f"there is no dead letter {missing}; `pixeltally dead show --reason …` prints their ids.")
    return found


def put_back(client: Client) -> set[str]:
    """The ids of all letters whose hits are there."""
    return {row[0] for row in client.query(f"SELECT toString(id) FROM dead_letters WHERE {_PUT_BACK}").result_rows}  # noqa: S608


def chosen(ids: Sequence[str], reason: str, since: datetime | None) -> Chosen:
    """The letters that a command names; refused where it names none."""
    if not (ids or reason or since):
        raise Refused("name the letters: by ID, --reason or --since; `pixeltally dead list` counts them.")
    return Chosen(canonical(ids), reason, since)


def canonical(ids: Sequence[str]) -> tuple[str, ...]:
    """Ids as ClickHouse writes them."""
    try:
        return tuple(str(uuid.UUID(text)) for text in ids)
    except ValueError:
        raise Refused(f"{', '.join(ids)}: not every one is the id of a dead letter.") from None
