"""The tier `pixeltally clickhouse` as its clients see it."""

import gzip
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import datetime
from decimal import Decimal
from email.message import Message
from functools import partial
from http.client import HTTPConnection, IncompleteRead
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any
from uuid import uuid4

import clickhouse_connect
import cramjam
import psutil
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, StreamFailureError
from disk import Disk, require_mount
from processes import answers, free_port, start_clickhouse, tier, wait_until

from local.clickhouse import LOOK_S
from local.clickhouse_engine import Engine
from local.clickhouse_room import Room
from local.clickhouse_sql import EngineError
from sinks.migrate import migrate


def connect(url: str, **options: Any) -> Client:
    return clickhouse_connect.get_client(dsn=url, **options)


def http(
    url: str, body: bytes | None = None, headers: dict[str, str] | None = None, **parameters: Any
) -> tuple[int, bytes, Message]:
    """(status, body, headers); `body` None makes it a GET."""
    query = urllib.parse.urlencode(parameters)
    request = urllib.request.Request(f"{url}/?{query}" if query else url, body, headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


@pytest.fixture
def client(clickhouse: str) -> Iterator[Client]:
    with connect(clickhouse, database="pixeltally") as client:
        yield client


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    """An empty table of (id UInt64, name String)."""
    name = f"t_{uuid4().hex}"
    client.command(f"CREATE TABLE {name} (id UInt64, name String) ENGINE = MergeTree ORDER BY id")
    yield name
    client.command(f"DROP TABLE {name}")


# What clients do


def test_schema_runs_over_http_and_counts(clickhouse: str, client: Client) -> None:
    client.command("CREATE DATABASE schema ENGINE = Atomic")
    with connect(clickhouse, database="schema") as schema:
        migrate(schema)
        fact = {
            "id": str(uuid4()), "ts": 1_764_000_000_123, "kind": "impression", "advertiser": "acme",
            "campaign": "spring", "creative": "banner", "visitor": 2**64 - 1, "ip": "203.0.113.9",
            "verdict": "valid", "reasons": [], "params": {"x": "y"}, "node": "n", "seq": 1, "version": 3,
        }  # fmt: skip
        schema.raw_insert("facts_in", insert_block=json.dumps(fact).encode(), fmt="JSONEachRow")
        minute = {"minute": 1_764_000_000, "advertiser": "acme", "campaign": "spring", "creative": "banner",
                  "version": 3, "gross": 1, "valid": 1, "uniques": 1}  # fmt: skip
        schema.raw_insert("minute_rows", insert_block=json.dumps(minute).encode(), fmt="JSONEachRow")
        row = schema.query("SELECT visitor, ip, ts, params FROM impressions").first_row
        assert row == (
            2**64 - 1,
            IPv6Address("::ffff:203.0.113.9"),
            datetime(2025, 11, 24, 16, 0, 0, 123000),
            {"x": "y"},
        )
        reach = "SELECT impressions, uniques FROM reach(period={period:String}, tz={tz:String})"
        berlin = {"period": "week", "tz": "Europe/Berlin"}
        assert schema.query(reach, parameters=berlin).first_row == (1, 1)
        assert schema.query("SELECT minute FROM minutes").first_row == (datetime(2025, 11, 24, 16),)
        with pytest.raises(DatabaseError, match="period is day, week or month"):
            schema.query(reach, parameters={"period": "year", "tz": "UTC"})
    client.command("DROP DATABASE schema")


@pytest.mark.parametrize("compress", [False, "gzip", "zstd", "lz4"])
def test_rows_come_back_as_they_went_in(client: Client, clickhouse: str, table: str, compress: bool | str) -> None:
    rows = [(number, f"näme\t'\\\n{number}") for number in range(5000)]
    with connect(clickhouse, database="pixeltally", compress=compress) as other:
        written = other.insert(table, rows, column_names=["id", "name"])
        assert written.written_rows == 5000
        assert other.query(f"SELECT * FROM {table} ORDER BY id").result_rows == rows
        with other.query_row_block_stream(f"SELECT * FROM {table} ORDER BY id") as blocks:
            assert [row for block in blocks for row in block] == rows


def test_raw_bytes_are_inserted_in_every_way(client: Client, clickhouse: str, table: str) -> None:
    line = b'{"id":1,"name":"a"}\n'
    client.raw_insert(table, insert_block=line, fmt="JSONEachRow")
    client.raw_insert(table, ["name", "id"], insert_block=[b"b,2\n", b"c,3\n"], fmt="CSV")
    client.raw_insert(table, insert_block=gzip.compress(b"4\td\n"), fmt="TSV", compression="gzip")
    client.command(f"INSERT INTO {table} VALUES (5, 'e'), (2*3, 'f')")
    client.command(f"INSERT INTO {table} FORMAT CSV", data=b"7,g\n")
    insert = f"INSERT INTO pixeltally.{table} FORMAT JSONEachRow"
    frames = bytes(cramjam.lz4.compress(b'{"id":8}')) + bytes(cramjam.lz4.compress(b'{"id":9}'))
    assert http(clickhouse, frames, {"Content-Encoding": "lz4"}, query=insert)[0] == 200
    client.command(f"INSERT INTO {table} SELECT number + 10, '' FROM numbers(5)")
    assert client.command(f"SELECT groupArray(id) FROM (SELECT id FROM {table} ORDER BY id)") == str(
        list(range(1, 15))
    ).replace(" ", "")


def test_chunked_body(clickhouse: str, client: Client, table: str) -> None:
    connection = HTTPConnection(clickhouse.removeprefix("http://"))
    parts = iter([f"INSERT INTO pixeltally.{table} FOR".encode(), b"MAT CSV\n1,a\n2,", b"b\n"])
    connection.request("POST", "/", body=parts, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert client.query(f"SELECT id FROM {table} ORDER BY id").result_rows == [(1,), (2,)]


def test_parameters(client: Client, clickhouse: str) -> None:
    odd = "tab\t newline\n quote' back\\slash"
    query = "SELECT {s:String}, {n:UInt64}, {a:Array(String)}, {t:DateTime64(3)}, {d:Decimal(18,4)}"
    moment = datetime(2025, 11, 24, 16, 0, 0, 123000)
    parameters = {"s": odd, "n": 2**64 - 1, "a": ["x", "y'"], "t": moment, "d": Decimal("12.5")}
    assert client.query(query, parameters=parameters).first_row == (
        odd,
        2**64 - 1,
        ["x", "y'"],
        moment,
        Decimal("12.5"),
    )
    assert http(clickhouse, query="SELECT {x:UInt8} + 1", param_x="4")[:2] == (200, b"5\n")
    with connect(clickhouse, form_encode_query_params=True) as form:
        assert form.query("SELECT {s:String}", parameters={"s": odd}).first_row == (odd,)


@pytest.mark.parametrize(
    "format",
    [
        "TSV",
        "CSVWithNames",
        "JSON",
        "JSONCompact",
        "JSONEachRow",
        "Native",
        "ArrowStream",
        "Arrow",
        "Parquet",
    ],
)
def test_a_result_of_many_blocks_is_one_document(clickhouse: str, table: str, format: str) -> None:
    query = f"SELECT number AS id, toString(number) AS name FROM numbers(300000) ORDER BY id FORMAT {format}"
    status, body, headers = http(clickhouse, query.encode(), max_block_size=1000)
    assert (status, headers["X-ClickHouse-Format"]) == (200, format)
    if format.startswith("JSON") and format != "JSONEachRow":
        assert json.loads(body)["rows"] == 300000
    elif format == "CSVWithNames":
        assert body.count(b'"id"') == 1
        assert body.count(b"\n") == 300001
    if format not in ("JSON", "JSONCompact"):
        insert = f"INSERT INTO pixeltally.{table} FORMAT {format}\n".encode()
        assert http(clickhouse, insert + body)[0] == 200
        count = f"SELECT count(), sum(id), sum(name::UInt64) FROM pixeltally.{table}"
        assert http(clickhouse, count.encode())[1] == b"300000\t44999850000\t44999850000\n"


def test_empty_results_keep_their_columns(client: Client, clickhouse: str) -> None:
    empty = client.query("SELECT 1 AS a, 'x' AS b, now64(3, 'UTC') AS c WHERE 0")
    assert (empty.column_names, empty.result_rows) == (("a", "b", "c"), [])
    assert empty.column_types[2].name == "DateTime64(3, 'UTC')"
    assert client.query("SELECT 1 AS a, 'x' AS b LIMIT 0").column_names == ("a", "b")
    assert http(clickhouse, b"SELECT 1 AS a WHERE 0 FORMAT CSVWithNames")[1] == b'"a"\n'
    assert json.loads(http(clickhouse, b"SELECT 1 AS a WHERE 0", default_format="JSON")[1])["data"] == []


def test_clickhouse_go_is_told_how_native_is_written(clickhouse: str) -> None:
    hello = b"SELECT displayName(), version(), revision(), timezone()"
    _, old, _ = http(clickhouse, hello, default_format="Native")
    assert old.startswith(b"\4\1\x0ddisplayName()\6String")
    assert b"\x0arevision()\6UInt32\0\0\0\0\x0atimezone()\6String\3UTC" in old
    _, new, _ = http(clickhouse, hello, default_format="Native", client_protocol_version=54460)
    assert new.startswith(b"\1\0\2\xff\xff\xff\xff\0\4\1\x0ddisplayName()\6String\0")


def test_headers_that_clients_read(clickhouse: str) -> None:
    _, body, headers = http(clickhouse, b"SELECT number FROM system.numbers LIMIT 10", query_id="q-1")
    assert body.count(b"\n") == 10
    assert headers["X-ClickHouse-Query-Id"] == "q-1"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert headers["Content-Type"] == "text/tab-separated-values; charset=UTF-8"
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "10"


def test_health(clickhouse: str) -> None:
    for path in ("/", "/ping", "/replicas_status"):
        assert http(clickhouse + path)[:2] == (200, b"Ok.\n")
    assert http(clickhouse + "/nowhere")[0] == 404


# What goes wrong, and what is not allowed


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELEC 1", 400, 62),
        ("", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT * FROM nosuch", 404, 60),
        ("SELECT nosuch(1)", 404, 46),
        ("SELECT nosuch FROM system.one", 404, 47),
        ("SELECT 1 FORMAT Nosuch", 404, 73),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT sleepEachRow(1) FROM numbers(9) SETTINGS max_block_size=1, max_execution_time=1", 500, 159),
        ("SELECT groupArray(number) FROM numbers(1e9) SETTINGS max_memory_usage=50000000", 500, 241),
        ("INSERT INTO pixeltally.nosuch FORMAT CSV\n1\n", 404, 60),
        ('INSERT INTO FUNCTION null(\'a UInt8\') FORMAT JSONEachRow {"a":"x"}', 400, 27),
    ],
)
def test_errors_are_those_of_a_server(clickhouse: str, query: str, status: int, code: int) -> None:
    answer = http(clickhouse, query.encode())
    assert (answer[0], answer[2]["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer[1]
    assert re.fullmatch(rf"Code: {code}\. DB::Exception: .*\(version 26\.\S+\)\n", answer[1].decode(), re.S)


def test_an_insert_that_is_not_written_is_not_said_to_be(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table}_parts (id UInt64) ENGINE = MergeTree ORDER BY id PARTITION BY id")
    client.command(f"CREATE TABLE {table}_in (id UInt64) ENGINE = Null")
    client.command(f"CREATE MATERIALIZED VIEW {table}_fill TO {table}_parts AS SELECT id FROM {table}_in")
    many = b"\n".join(b'{"id":%d}' % number for number in range(101))
    for name in ("parts", "in"):
        with pytest.raises(DatabaseError, match="TOO_MANY_PARTS"):
            client.raw_insert(f"{table}_{name}", insert_block=many, fmt="JSONEachRow")
        client.raw_insert(f"{table}_{name}", insert_block=many[:-10], fmt="JSONEachRow")
    assert client.query(f"SELECT count() FROM {table}_parts").result_rows == [(200,)]
    for name in ("fill", "in", "parts"):
        client.command(f"DROP TABLE {table}_{name}")


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"database": "nosuch"}, 404, 81),
        ({"nosuch": 1}, 404, 115),
        ({"max_threads=1, a": 1}, 404, 115),
        ({"user": "acme"}, 403, 516),
        ({"compress": 1}, 501, 48),
        ({"param_x": "y"}, 400, 457),
    ],
)
def test_wrong_parameters(clickhouse: str, parameters: dict[str, Any], status: int, code: int) -> None:
    answer = http(clickhouse, b"SELECT {x:UInt8}" if "param_x" in parameters else b"SELECT 1", **parameters)
    assert (answer[0], answer[2]["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer[1]


def test_an_error_behind_the_first_rows_reaches_the_client(clickhouse: str, client: Client) -> None:
    late = "SELECT number, throwIf(number = 5000000) FROM system.numbers SETTINGS max_threads=1"
    with pytest.raises((DatabaseError, StreamFailureError), match="throwIf"):
        _ = client.query(late).result_rows
    with pytest.raises(IncompleteRead) as cut:
        http(clickhouse, late.encode())
    assert b"__exception__" in cut.value.partial[-2000:]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 INTO OUTFILE '{path}'",
        "INSERT INTO pixeltally.nosuch FROM INFILE '/etc/passwd' FORMAT CSV",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT file('/etc/passwd')",
        "INSERT INTO FUNCTION file('{path}', 'CSV') SELECT 1",
        "INSERT INTO FUNCTION file('{path}', 'CSV', 'a UInt8') FORMAT CSV\n1\n",
        "SELECT * FROM default.`/etc/passwd`",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', 'CSV', 'a Int8')",
        "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
        "CREATE TABLE pixeltally.x (a Int8) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'CSV')",
        "CREATE TABLE pixeltally.x (a Int8) ENGINE = File(CSV, '{path}')",
        "CREATE TABLE pixeltally.x (a Int8) ENGINE = ExecutablePool('x', 'CSV')",
        "CREATE MATERIALIZED VIEW pixeltally.x ENGINE = File(CSV) AS SELECT 1 AS a",
        "CREATE DATABASE x ENGINE = Filesystem('/etc')",
        "CREATE DICTIONARY pixeltally.x (a UInt64) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT CSV))"
        " LAYOUT(FLAT()) LIFETIME(0)",
        "BACKUP DATABASE pixeltally TO File('{path}')",
        "CREATE USER x",
        "SYSTEM SHUTDOWN",
        "DROP DATABASE default",
    ],
)
def test_sql_reaches_no_file_no_network_and_no_shell(clickhouse: str, tmp_path: Path, query: str) -> None:
    status, body, headers = http(clickhouse, query.format(path=tmp_path / "out").encode())
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "497"), body
    assert not list(tmp_path.iterdir())


def test_readonly(clickhouse: str, client: Client, table: str) -> None:
    for readonly in (1, 2):
        assert client.query("SELECT 1", settings={"readonly": readonly}).first_row == (1,)
        for change in (
            f"INSERT INTO {table} VALUES (1, '')",
            f"DROP TABLE {table}",
            f"INSERT INTO {table} SELECT 1, ''",
        ):
            with pytest.raises(DatabaseError, match="READONLY"):
                client.command(change, settings={"readonly": readonly})
        with pytest.raises(DatabaseError, match="READONLY"):
            client.query("SELECT 1 SETTINGS readonly = 0", settings={"readonly": readonly})
    with pytest.raises(DatabaseError, match="READONLY"):
        client.query("SELECT 1 SETTINGS max_threads = 7", settings={"readonly": 1})
    assert http(clickhouse, query=f"DROP TABLE pixeltally.{table}")[2]["X-ClickHouse-Exception-Code"] == "164"
    client.command(f"INSERT INTO {table} VALUES (1, '')")


# Settings and sessions


def test_settings_of_a_request_end_with_it(client: Client, clickhouse: str, table: str) -> None:
    token = {"insert_deduplication_token": "a"}
    for settings in (token, token, {}, {}, {"insert_deduplication_token": "b"}):
        client.raw_insert(table, insert_block=b"1\tx\n", fmt="TSV", settings=settings)
    assert client.command(f"SELECT count() FROM {table}") == 4
    client.command("SET max_block_size = 1234")
    client.raw_insert(table, insert_block=b"1\tx\n", fmt="TSV", settings=token)
    setting = "SELECT getSetting('max_block_size'), getSetting('insert_deduplication_token')"
    assert client.query(setting, settings={"max_block_size": 99}).first_row == (99, "")
    assert client.query(setting, settings={"readonly": 1}).first_row == (1234, "")
    assert client.query(setting).first_row == (1234, "")
    with connect(clickhouse, database="pixeltally") as other:
        assert other.query(setting).first_row != (1234, "")


def test_a_query_may_take_a_third_of_the_machines_memory(client: Client) -> None:
    limit = client.query("SELECT value FROM system.settings WHERE name = 'max_memory_usage'").first_row[0]
    assert int(limit) == max(4_000_000_000, psutil.virtual_memory().total // 3)


def test_a_repeated_insert_counts_once_behind_views_too(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table}_in (id UInt64, name String) ENGINE = Null")
    client.command(f"CREATE MATERIALIZED VIEW {table}_fill TO {table} AS SELECT * FROM {table}_in")
    for token in ("t-0-0-9", "t-0-0-9", "t-0-10-19"):
        client.raw_insert(
            f"{table}_in", insert_block=b"1\tx\n", fmt="TSV", settings={"insert_deduplication_token": token}
        )
    assert client.command(f"SELECT count() FROM {table}") == 2
    client.command(f"DROP TABLE {table}_fill")
    client.command(f"DROP TABLE {table}_in")


def test_a_session_keeps_its_database_and_temporary_tables(clickhouse: str) -> None:
    session = {"session_id": uuid4().hex}
    http(clickhouse, b"CREATE TEMPORARY TABLE mine (a UInt8)", **session)
    http(clickhouse, b"INSERT INTO mine VALUES (7)", **session)
    http(clickhouse, b"USE system", **session)
    assert http(clickhouse, b"SELECT a, currentDatabase() FROM mine", **session)[1] == b"7\tsystem\n"
    both = http(clickhouse, b"SELECT currentDatabase()", database="pixeltally", **session)
    assert both[1] == b"pixeltally\n"
    assert http(clickhouse, b"SELECT currentDatabase()", **session)[1] == b"system\n"
    assert http(clickhouse, b"SELECT * FROM mine")[2]["X-ClickHouse-Exception-Code"] is not None


# Under load


def test_readers_and_an_insert_at_once(client: Client, clickhouse: str, table: str) -> None:
    batch = b"".join(b"%d\tx\n" % number for number in range(10_000))
    stop = threading.Event()

    def read(_: int) -> int:
        with connect(clickhouse, database="pixeltally") as reader:
            seen = 0
            while not stop.is_set():
                count = reader.query(f"SELECT count() FROM {table}").first_row[0]
                assert count >= seen
                assert count % 10_000 == 0
                seen = count
            return seen

    with ThreadPoolExecutor(8) as readers:
        seen = readers.map(read, range(8))
        try:
            for _ in range(20):
                client.raw_insert(table, insert_block=batch, fmt="TSV")
        finally:
            stop.set()
        assert all(list(seen))
    assert client.command(f"SELECT count() FROM {table}") == 200_000


def test_no_query_ends_another(clickhouse: str) -> None:
    def read(_: int) -> set[int]:
        with connect(clickhouse) as reader:
            return {reader.query("SELECT count() FROM numbers(300000)").first_row[0] for _ in range(300)}

    with ThreadPoolExecutor(8) as readers:
        assert list(readers.map(read, range(8))) == [{300_000}] * 8


def _memory_kb(pid: int, what: str) -> int:
    return int(re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])  # type: ignore[index]


def test_a_large_result_is_streamed(tmp_path: Path) -> None:
    with start_clickhouse(tmp_path) as server:
        small = "SELECT toString(number) AS n FROM numbers(100000) FORMAT CSVWithNames"
        http(server.url, small.encode())
        before = _memory_kb(server.process.pid, "VmHWM")
        connection = HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/", small.replace("100000", "60000000").encode())
        answer = connection.getresponse()
        size = 0
        while part := answer.read(1 << 20):
            size += len(part)
        assert size > 600_000_000
        assert _memory_kb(server.process.pid, "VmHWM") - before < 150_000


def test_a_client_that_leaves_ends_its_query(clickhouse: str, client: Client) -> None:
    host, port = clickhouse.removeprefix("http://").split(":")
    for query in ("SELECT number FROM system.numbers", "SELECT sum(sipHash64(number)) FROM system.numbers"):
        running = f"SELECT count() FROM system.processes WHERE startsWith(query, '{query}')"
        with socket.create_connection((host, int(port))) as leaver:
            leaver.sendall(f"POST / HTTP/1.1\r\nContent-Length: {len(query)}\r\n\r\n{query}".encode())
            while client.command(running) == 0:
                pass
        while client.command(running) == 1:
            pass


# Its process


def test_no_acknowledged_insert_is_lost_by_kill(tmp_path: Path) -> None:
    rows = 0
    for round_ in range(3):
        with start_clickhouse(tmp_path) as server, connect(server.url, database="pixeltally") as client:
            client.command(
                "CREATE TABLE IF NOT EXISTS kept (round UInt8, batch UInt32) ENGINE=MergeTree ORDER BY batch"
            )
            counts = "SELECT count(), uniqExact(round, batch) FROM kept"
            found = client.query(counts).first_row
            assert found[0] == found[1] * 1000
            assert rows <= found[0] <= rows + round_ * 1000
            rows, batch = found[0], 0
            killer = threading.Timer(1.5, server.process.kill)
            killer.start()
            try:
                while True:
                    block = f"{round_}\t{batch}\n".encode() * 1000
                    client.raw_insert("kept", insert_block=block, fmt="TSV")
                    rows, batch = rows + 1000, batch + 1
            except Exception:
                killer.join()
            assert batch > 3
    with start_clickhouse(tmp_path) as server, connect(server.url, database="pixeltally") as client:
        assert client.command("SELECT count() FROM kept") >= rows


def test_stopping_finishes_what_runs(tmp_path: Path) -> None:
    with start_clickhouse(tmp_path) as server, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(http, server.url, b"SELECT count(sleepEachRow(0.2)) FROM numbers(10)", max_block_size=1)
        running = b"SELECT count() FROM system.processes WHERE query LIKE 'SELECT count(sleep%'"
        while http(server.url, running)[1] != b"1\n":
            pass
        server.process.send_signal(signal.SIGTERM)
        assert slow.result()[:2] == (200, b"10\n")
        assert server.process.wait(30) == 0
    with start_clickhouse(tmp_path) as again:
        assert http(again.url, b"SHOW DATABASES")[1].split() >= [b"INFORMATION_SCHEMA", b"default"]


#: The tier with hardly any patience.
_HURRIED = """
from local import clickhouse
from pixeltally.settings import Settings
clickhouse.DRAIN_S = 0.1
clickhouse.run(Settings.from_env())
"""


def test_stopping_ends_what_runs_too_long(tmp_path: Path) -> None:
    """A merge, too, which no kill of a query ends: who stops the tier would kill it, or it would crash as it closes."""
    port, running = free_port(), b"SELECT count() FROM system.merges"
    environ = {**os.environ, "PIXELTALLY_DATA": str(tmp_path), "PIXELTALLY_CLICKHOUSE_PORT": str(port)}
    with subprocess.Popen([sys.executable, "-c", _HURRIED], env=environ) as process, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/ping", process), "ClickHouse")
        http(url, b"CREATE TABLE large (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
        for part in range(3):
            http(url, b"INSERT INTO large SELECT sipHash64(number, %d), hex(number) FROM numbers(2000000)" % part)
        merged = pool.submit(http, url, b"OPTIMIZE TABLE large FINAL")
        while http(url, running)[1] != b"1\n":
            pass
        process.send_signal(signal.SIGTERM)
        assert b"(ABORTED)" in merged.result()[1]
        assert process.wait(30) == 0
    with start_clickhouse(tmp_path) as again:
        assert http(again.url, b"SELECT count(), uniqExact(a) FROM large")[1] == b"6000000\t6000000\n"


def _refusal(data: Path, port: int) -> str:
    process = tier("clickhouse", data, PIXELTALLY_CLICKHOUSE_PORT=str(port))
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 2, message
    assert message.count("\n") == 1, message
    return message


def test_a_taken_port_or_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with start_clickhouse(tmp_path / "a") as server:
        taken = _refusal(tmp_path / "b", server.port)
        assert re.fullmatch(rf"pixeltally: Port {server.port} of 127\.0\.0\.1 can't be used .*\.\n", taken)
        shared = _refusal(tmp_path / "a", free_port())
        assert "in use by another ClickHouse" in shared
    (tmp_path / "file").write_text("")
    assert "can't be written" in _refusal(tmp_path / "file", free_port())


def test_a_full_disk_costs_no_definition_and_no_row(tmp_path: Path) -> None:
    require_mount()
    with Disk(tmp_path / "disk", 256) as disk, start_clickhouse(tmp_path / "disk") as server:
        with connect(server.url) as client:
            client.command("CREATE TABLE pixeltally.kept (at DateTime) ENGINE = MergeTree ORDER BY at")
            disk.fill()
            for statement in (
                "ALTER TABLE pixeltally.kept MODIFY TTL at + INTERVAL 1 DAY",
                "CREATE TABLE pixeltally.more (at DateTime) ENGINE = MergeTree ORDER BY at",
            ):
                with pytest.raises(DatabaseError, match="nothing is written with less than 64"):
                    client.command(statement)
            with pytest.raises(DatabaseError, match="NOT_ENOUGH_SPACE"):
                client.raw_insert("pixeltally.kept", insert_block=b'{"at":1}', fmt="JSONEachRow")
        server.process.kill()
        server.process.wait()
        disk.free()
        with start_clickhouse(tmp_path / "disk") as again, connect(again.url) as client:
            assert client.query("EXISTS pixeltally.kept").result_rows == [(1,)]
            assert client.query("EXISTS pixeltally.more").result_rows == [(0,)]


def define_on_a_full_disk(disk: Disk, folder: Path) -> bool:
    """Define tables, two while the disk becomes full; whether the engine is to be opened anew."""
    engine = Engine(folder)
    room = Room(engine)
    room._require = lambda: None  # type: ignore[method-assign]  # asked before the disk is full and after it was
    columns = ", ".join(f"a_long_name_{number} UInt64" for number in range(500))

    def define(sql: str, on_a_full_disk: bool) -> None:
        with room.defined(), closing(engine._connect(engine._address)) as handle:
            if on_a_full_disk:
                disk.fill()
            handle.query(sql)

    one, other, third = (
        f"CREATE TABLE pixeltally.{name} (at DateTime, {columns}) ENGINE = MergeTree ORDER BY at"
        for name in ("one", "other", "third")
    )
    define(one, False)
    define(other, False)
    for sql in ("ALTER TABLE pixeltally.one MODIFY TTL at + toIntervalDay(1)", third):
        with pytest.raises(EngineError, match="a definition could not be written"):
            define(sql, True)
        disk.free()
    is_back = room.is_back()
    engine.close()
    return is_back


def shown_tables(folder: Path) -> list[str]:
    engine = Engine(folder)
    try:
        return engine._ask("SHOW TABLES FROM pixeltally").split()
    finally:
        engine.close()


def test_a_disk_that_becomes_full_while_something_is_defined_costs_no_definition(tmp_path: Path) -> None:
    require_mount()
    one_each = partial(ProcessPoolExecutor, 1, mp_context=multiprocessing.get_context("spawn"))
    folder = tmp_path / "disk" / "clickhouse"
    with Disk(tmp_path / "disk", 256) as disk:
        with one_each() as pool:
            assert pool.submit(define_on_a_full_disk, disk, folder).result()
        with one_each() as pool:
            assert pool.submit(shown_tables, folder).result() == ["one", "other"]


def says_that_all_is_well(disk: Disk, folder: Path, url: str, write: Callable[[Client], object]) -> bool:
    """Whether `write` does so although the disk becomes full meanwhile; returns when the engine was opened anew."""
    with connect(url) as client:
        client.command("CREATE OR REPLACE TABLE pixeltally.since ENGINE = Memory AS SELECT 1")

    def is_anew() -> bool:
        with suppress(Exception), connect(url) as client:
            return client.query("SELECT count() FROM pixeltally.since").result_rows == [(0,)]
        return False

    def said() -> bool:
        with connect(url) as client, suppress(ClickHouseError):
            write(client)
            return True
        return False

    with ThreadPoolExecutor(1) as pool:
        well = pool.submit(said)
        while not any(file.stat().st_size for file in folder.glob("store/*/*/tmp_*/name.bin")):
            assert not well.done()
        disk.fill()
        is_well = well.result()
        time.sleep(4 * LOOK_S)
        disk.free()
    wait_until(is_anew, "the engine opened anew", 20)
    return is_well


def test_a_disk_that_becomes_full_costs_no_row_that_was_taken_and_none_that_was_merged(tmp_path: Path) -> None:
    require_mount()
    folder = tmp_path / "disk" / "clickhouse"

    def insert(client: Client, into: str, first: int) -> None:
        lines = (b'{"id":%d,"name":"%b"}\n' % (first + n, os.urandom(800).hex().encode()) for n in range(10_000))
        client.raw_insert(f"pixeltally.{into}", insert_block=b"".join(lines), fmt="JSONEachRow")

    def has(table: str, count: int) -> bool:
        sql = f"SELECT count(), sum(id) FROM pixeltally.{table}"
        with connect(server.url) as client:
            return client.query(sql).result_rows == [(count, sum(range(count)))]

    with Disk(tmp_path / "disk", 1024) as disk, start_clickhouse(tmp_path / "disk") as server:
        with connect(server.url) as client:
            for table, codec in (("slow", "ZSTD(12)"), ("fast", "LZ4")):
                client.command(
                    f"CREATE TABLE pixeltally.{table} (id UInt64, name String CODEC({codec})) ENGINE = MergeTree"
                    " ORDER BY id SETTINGS min_bytes_for_wide_part = 0"  # so that its files are seen to grow
                )
                insert(client, table, 0)
        assert not says_that_all_is_well(disk, folder, server.url, lambda client: insert(client, "slow", 10_000))
        assert has("slow", 10_000)
        with connect(server.url) as client:
            for table, first in (("slow", 10_000), ("fast", 10_000), ("fast", 20_000), ("fast", 30_000)):
                insert(client, table, first)
        for table, count in (("slow", 20_000), ("fast", 40_000)):
            merge = f"OPTIMIZE TABLE pixeltally.{table} FINAL"
            says_that_all_is_well(disk, folder, server.url, lambda client, merge=merge: client.command(merge))
            assert has(table, count)
