"""Makes nobody's what is kept of a person, and leaves what was counted: see docs/privacy.md.

A fact keeps what it was counted as; a random number replaces the visitor's, so that uniques stay what they were. No
statement below names whom it is about: ClickHouse keeps statements.
"""

import secrets
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv6Address
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from ledger import mentions
from ledger.mentions import Mentions
from pixeltally.errors import Refused
from pixeltally.identity import Address, address_name, subscriber_name, truncated, visitor_key, visitor_number
from pixeltally.settings import Settings

COLUMNS = ("advertiser", "campaign", "month", "hits")

_POLL_S = 0.05
_UNLOGGED = {"log_queries": 0}


class Person(NamedTuple):
    """Whom it is about, as it may be found."""

    kind: str  #: ip or subscriber
    visitors: list[int]
    addresses: list[IPv6Address]
    is_named_in: Mentions  #: tells lines that name them


@dataclass
class Erased:
    """What was found and made nobody's."""

    hits: list[dict[str, Any]] = field(default_factory=list)  #: with `COLUMNS`
    on_lists: int = 0
    letters: int = 0


def subscriber(settings: Settings, name: str) -> Person:
    """A subscriber, as the tags' `s=` names it."""
    key = visitor_key(settings.secret_key())
    return Person("subscriber", [visitor_number(key, subscriber_name(name))], [], mentions.of_subscriber(name))


def address(client: Client, settings: Settings, ip: Address) -> Person:
    """An address; with PIXELTALLY_VISITOR=ip+ua, with each agent that it was seen with."""
    key = visitor_key(settings.secret_key())
    ip = getattr(ip, "ipv4_mapped", None) or ip
    visitors = {visitor_number(key, address_name(ip, settings.ipv6_prefix, None))}
    kept_as = [_v6(ip), *([_v6(truncated(ip)), IPv6Address("::")] if settings.visitor == "ip+ua" else [])]
    seen = client.query(
        "SELECT DISTINCT user_agent, visitor FROM facts WHERE ip IN {kept_as:Array(IPv6)}",
        parameters={"kept_as": [str(each) for each in kept_as]},
        settings=_UNLOGGED,
    )
    for agent, visitor in seen.result_rows:
        if visitor == visitor_number(key, address_name(ip, settings.ipv6_prefix, agent)):
            visitors.add(visitor)
    return Person("ip", sorted(visitors), [_v6(ip)], mentions.of_address(ip))


def forget(client: Client, person: Person, advertiser: str = "") -> Erased:
    """Make nobody's what the person did until now, of one advertiser or of all. May be repeated, after a crash too."""
    work = _Work(client, advertiser)
    work.remember(person)
    erased = Erased(work.count(person.kind))
    work.take_out_of_sets()
    work.rewrite_facts()
    erased.on_lists = work.rewrite_lists()
    erased.letters = work.delete_letters(person.is_named_in)
    return erased


class _Work:
    """One erasure, step by step; each step may be done again."""

    def __init__(self, client: Client, advertiser: str) -> None:
        self._client, self._advertiser = client, advertiser
        self._id = uuid.uuid4()
        self._until = datetime.now(UTC)
        database, chosen = client.database, f"WHERE erasure = '{self._id}'"
        self._visitors = f"SELECT visitor FROM {database}.forgotten_visitors {chosen}"
        self._addresses = f"SELECT ip FROM {database}.forgotten_addresses {chosen}"
        self._ours = f"advertiser = '{advertiser}'" if advertiser else "1"
        self._until_sql = f"toDateTime64('{self._until:%Y-%m-%d %H:%M:%S.%f}', 3, 'UTC')"
        self._held = f"(visitor IN ({self._visitors}) OR ip IN ({self._addresses})) AND {self._ours}"
        self._past = f"{self._held} AND ts <= {self._until_sql}"

    def remember(self, person: Person) -> None:
        """From now on hits of the person until now are stored as nobody's."""
        head, tail = self._advertiser, [self._until, self._id]
        rows = [[visitor, head, *tail, secrets.randbits(64) | 1] for visitor in person.visitors]
        self._insert("forgotten_visitors", rows, "visitor", "advertiser", "until", "erasure", "stand_in")
        rows = [[ip, head, *tail] for ip in person.addresses]
        self._insert("forgotten_addresses", rows, "ip", "advertiser", "until", "erasure")

    def count(self, kind: str) -> list[dict[str, Any]]:
        """Say in `erasures` how many hits it is, by what they were counted as."""
        rows = self._client.query(
            "SELECT advertiser, campaign, toStartOfMonth(ts) AS month, count() FROM facts FINAL"
            f" WHERE {self._past} GROUP BY ALL ORDER BY ALL"
        ).result_rows
        self._insert(
            "erasures",
            [[self._id, self._until, kind, *row] for row in rows],
            "erasure", "at", "kind", *COLUMNS,
        )  # fmt: skip
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    def take_out_of_sets(self) -> None:
        """Take the visitors out of reach's sets; `rewrite_facts` puts their stand-ins in."""
        gone = f"(SELECT groupArray(visitor) FROM ({self._visitors}))"
        self._mutate(
            "visitor_sets",
            f"UPDATE visitors = arrayExcept(visitors, {gone})"
            f" WHERE {self._ours} AND slice <= {self._until_sql} AND hasAny(visitors, {gone})",
        )

    def rewrite_facts(self) -> None:
        """Insert the facts again, which stores them as nobody's, then delete what still is the person's."""
        names = [row[0] for row in self._client.query("DESCRIBE TABLE facts").result_rows]
        columns = ", ".join(f"`{name}`" for name in names)
        values = columns.replace("`ts`", "toUnixTimestamp64Milli(ts)")
        while True:
            self._client.command(f"INSERT INTO facts_in ({columns}) SELECT {values} FROM facts WHERE {self._held}")
            self._mutate("facts", f"DELETE WHERE {self._past}")
            self._rewrite_first_visits()
            # A batch that the sink was inserting meanwhile may not have known of it.
            if not self._client.query(f"SELECT 1 FROM facts WHERE {self._past} LIMIT 1").result_rows:
                return

    def _rewrite_first_visits(self) -> None:
        """Delete the person's, and put in again what facts hold as theirs: what they did since."""
        theirs = f"visitor IN ({self._visitors}) AND {self._ours}"
        self._mutate("first_visits", f"DELETE WHERE {theirs}")
        self._client.command(f"INSERT INTO visits_in SELECT * FROM visits WHERE {theirs}")

    def rewrite_lists(self) -> int:
        """Put the stand-ins on the lists of whom campaigns were sent to; how many places there were."""
        theirs = f"visitor IN ({self._visitors}) AND {self._ours}"
        places = self._client.query(f"SELECT count() FROM sent_list FINAL WHERE {theirs}").result_rows[0][0]
        if places:
            self._client.command(
                "INSERT INTO sent_list (advertiser, campaign, visitor, subscriber, sent_at)"
                " SELECT s.advertiser, s.campaign, f.stand_in, '', s.sent_at"
                f" FROM (SELECT * FROM sent_list FINAL WHERE {theirs}) AS s"
                f" INNER JOIN (SELECT * FROM forgotten_visitors WHERE erasure = '{self._id}') AS f USING (visitor)"
            )
            self._mutate("sent_list", f"DELETE WHERE {theirs}")
        return int(places)

    def delete_letters(self, is_named_in: Mentions) -> int:
        """Delete dead letters whose line names the person, of all advertisers: most lines tell none."""
        with self._client.query_rows_stream("SELECT id, line FROM dead_letters FINAL") as letters:
            named = [[id] for id, line in letters if is_named_in(line)]
        self._insert("forgotten_letters", named, "id")
        if named:
            letters_table = f"{self._client.database}.forgotten_letters"
            self._mutate("dead_letters", f"DELETE WHERE id IN (SELECT id FROM {letters_table})")
        return len(named)

    def _insert(self, table: str, rows: list[list[Any]], *columns: str) -> None:
        if rows:
            self._client.insert(table, rows, column_names=columns)

    def _mutate(self, table: str, change: str) -> None:
        """Change a table's rows where they lie, and wait for it, however long it takes."""
        self._client.command(f"ALTER TABLE {table} {change}")
        running = (
            "SELECT latest_fail_reason FROM system.mutations"
            f" WHERE database = currentDatabase() AND table = '{table}' AND NOT is_done"
        )
        while unfinished := self._client.query(running).result_rows:
            if any(why for (why,) in unfinished):
                raise Refused(f"ClickHouse can't change {table}, its log says why; repeat when that is mended")
            time.sleep(_POLL_S)


def _v6(ip: Address) -> IPv6Address:
    return ip if isinstance(ip, IPv6Address) else IPv6Address(f"::ffff:{ip}")
