"""What is read from SQL before the engine runs it."""

import pytest

from local.clickhouse_sql import (
    EngineError,
    Insert,
    Statement,
    error_code,
    http_status,
    native_block,
    quote,
    quote_name,
    read,
    split_insert,
)


@pytest.mark.parametrize(
    ("head", "into", "settings", "format", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t ", "", "CSV", b"1,2"),
        (b"insert into t (a, b) values (1, 2)", "insert into t (a, b) ", "", "Values", b" (1, 2)"),
        (b'INSERT INTO t FORMAT JSONEachRow {"a":1}', "INSERT INTO t ", "", "JSONEachRow", b'{"a":1}'),
        (b"INSERT INTO t FORMAT TSV\n\t\n", "INSERT INTO t ", "", "TSV", b"\t\n"),
        (b"INSERT INTO format FORMAT CSV\n1", "INSERT INTO format ", "", "CSV", b"1"),
        (b"INSERT INTO d.values FORMAT CSV\n1", "INSERT INTO d.values ", "", "CSV", b"1"),
        (b"INSERT INTO settings (settings) FORMAT CSV\n1", "INSERT INTO settings (settings) ", "", "CSV", b"1"),
        (b"INSERT INTO `a FORMAT b` (format) FORMAT CSV\n1", "INSERT INTO `a FORMAT b` (format) ", "",
         "CSV", b"1"),
        (b"-- FORMAT x\n/* VALUES */INSERT INTO t FORMAT CSV\n1", "-- FORMAT x\n/* VALUES */INSERT INTO t ", "",
         "CSV", b"1"),
        (b"INSERT INTO t SETTINGS a = 'FORMAT x' FORMAT CSV\n1", "INSERT INTO t ", "SETTINGS a = 'FORMAT x' ",
         "CSV", b"1"),
        (b"INSERT INTO t FORMAT Native\n\xff\x00", "INSERT INTO t ", "", "Native", b"\xff\x00"),
    ],
)  # fmt: skip
def test_where_the_data_of_an_insert_begins(head: bytes, into: str, settings: str, format: str, data: bytes) -> None:
    found = split_insert(head)
    assert found == Insert(into, settings, format, len(head) - len(data))
    assert found.of("/p") == f"{into} FROM INFILE '/p' {settings} FORMAT {format}"


@pytest.mark.parametrize(
    "head",
    [
        b"", b"SELECT 1 FORMAT CSV", b"INSERT INTO t SELECT 1", b"INSERT INTO t SELECT format FROM u",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", b"INSERT INTO t",
        b"INSERT INTO t; DROP TABLE t FORMAT CSV\n1",
    ],
)  # fmt: skip
def test_other_statements_carry_no_data(head: bytes) -> None:
    assert split_insert(head) is None


def test_the_format_clause_is_told_from_literals() -> None:
    assert read("SELECT 1 FORMAT JSON SETTINGS a = 'x'") == Statement("SELECT 1", "JSON", " SETTINGS a = 'x'")
    assert read("SELECT 1 FORMAT `Null`") == Statement("SELECT 1", "Null", "")
    assert read("SELECT ' FORMAT JSON'") == Statement("SELECT ' FORMAT JSON'", "", "")
    assert read("SELECT * FROM (SELECT 1 SETTINGS a = 1)").format == ""
    assert read("SELECT 1 FORMAT JSON SETTINGS a = 1").into("/p", "CSV") == (
        "SELECT 1 INTO OUTFILE '/p' TRUNCATE FORMAT CSV SETTINGS a = 1"
    )


def test_what_reaches_outside_is_refused_but_not_its_mention() -> None:
    for text in ("SELECT 1 INTO OUTFILE 'x'", "SELECT file('x')", "CREATE TABLE t (`a` Int8) ENGINE = Kafka"):
        with pytest.raises(EngineError, match="ACCESS_DENIED"):
            read(text)
    for text in ("SELECT ' INTO OUTFILE '", "SELECT 'file(', `ENGINE = Kafka`", "SELECT myfile(1)",
                 "CREATE TABLE t (`a` Int8) ENGINE = ReplacingMergeTree(v) ORDER BY a"):  # fmt: skip
        assert read(text).text == text


def test_kinds_of_statements() -> None:
    assert read("(SELECT 1)").selects
    assert read("SHOW TABLES").has_result
    assert not read("SHOW TABLES").selects
    assert not read("CREATE TABLE t (`a` Int8) ENGINE = Memory").has_result
    assert read("CREATE TEMPORARY TABLE t (`a` Int8)").needs_session
    assert read("SET a = 1").sets_session
    assert not read("SELECT 1").needs_session


def test_which_statements_define_what_must_be_written_down() -> None:
    assert read("ALTER TABLE t MODIFY TTL a + toIntervalDay(1)").defines
    assert read("CREATE OR REPLACE VIEW v AS SELECT 1").defines
    assert read("INSERT INTO t SELECT 1").writes
    assert not read("CREATE TEMPORARY TABLE t (a String)").defines
    assert not read("DROP TABLE t").writes


def test_errors_have_the_status_a_server_gives_them() -> None:
    assert error_code("Code: 60. DB::Exception: Code: 62. DB::Exception: x") == 60
    assert error_code("no number") == 1002
    assert [http_status(code) for code in (62, 60, 516, 48, 241)] == [400, 404, 403, 501, 500]


def test_quoting_and_native() -> None:
    assert quote("a'b\\") == r"'a\'b\\'"
    assert quote_name("a`b") == r"`a\`b`"
    assert native_block([("ä" * 100, "UInt8", b"")], 0) == b"\1\0\xc8\1" + "ä".encode() * 100 + b"\5UInt8"
