"""Ad-hoc SQL that can only read, its answer streamed in any of ClickHouse's formats."""

import re
from collections.abc import Iterator
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from urllib3.exceptions import HTTPError

#: Our names of formats; any other is ClickHouse's own.
FORMATS = {"table": "PrettyCompactMonoBlock", "csv": "CSVWithNames", "tsv": "TSVWithNames", "json": "JSON"}

_SETTINGS = {
    "readonly": 2,  # reads only, but may set what the query may take
    "cancel_http_readonly_queries_on_client_close": 1,
    "output_format_pretty_row_numbers": 0,
    "output_format_pretty_single_large_number_tip_threshold": 0,
}
_CHUNK_BYTES = 1 << 16
#: What readonly lets through.
_CHANGES = ("KILL ", "UNDROP ")
#: Hundreds of words, of which the one before has the likeliest.
_SYNTAX = re.compile(r" Expected one of: .*(?= \(SYNTAX_ERROR\))", re.S)
_BROKEN_OFF = b"__exception__\r\n"


class Failed(Exception):
    """ClickHouse refuses the query or gave it up; its text is ClickHouse's own."""


def ask(client: Client, query: str, format: str) -> Iterator[bytes]:
    """The answer in `format` (`FORMATS`, or ClickHouse's) unless the query names one; raises :class:`Failed`.

    Its end is held back until it is known whether that is why the answer broke off.
    """
    tail = b""
    try:
        [(normal,)] = client.query("SELECT formatQuerySingleLineOrNull({query:String})", {"query": query}).result_rows
        if (normal or "").startswith(_CHANGES):
            raise Failed(f"Cannot execute query in readonly mode: {normal.partition(' ')[0]} changes something.")
        answer: Any = client.raw_stream(
            query, settings=_SETTINGS, transport_settings={"X-ClickHouse-Format": FORMATS.get(format, format)}
        )
        with answer:
            while chunk := answer.read1(_CHUNK_BYTES):
                tail += chunk
                yield tail[:-_CHUNK_BYTES]
                tail = tail[-_CHUNK_BYTES:]
        yield tail
    except (HTTPError, OSError):
        rest, says = _ending(tail)
        yield rest
        raise Failed(says) from None
    except ClickHouseError as error:
        raise Failed(reason(error)) from None


def reason(error: ClickHouseError) -> str:
    """What ClickHouse says is wrong, without what clients put around it."""
    text = str(error)
    if isinstance(error, DatabaseError) and "DB::Exception: " in text:
        text = text.rpartition("DB::Exception: ")[2]
    return _SYNTAX.sub("", text.partition(" (version ")[0]).strip()


def _ending(tail: bytes) -> tuple[bytes, str]:
    """The last of an answer that broke off, and why it did, where ClickHouse could still say it."""
    rest, _, text = tail.rpartition(_BROKEN_OFF)[0].rpartition(_BROKEN_OFF)
    if not text:
        return tail, "the answer broke off; ClickHouse's log says why"
    return rest.removesuffix(b"\r\n"), reason(DatabaseError(text.decode(errors="replace")))
