"""`pixeltally sql` reads, in any format, and changes nothing."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from facts import client, make_tables
from processes import wait_until

from pixeltally.cli import main


@pytest.fixture
def run(clickhouse, monkeypatch):
    """A function that runs `pixeltally sql`: (exit code, standard output, error)."""
    make_tables(clickhouse)
    monkeypatch.setenv("PIXELTALLY_CLICKHOUSE_URL", clickhouse)

    def sql(*arguments, typed=None):
        done = CliRunner().invoke(main, ["sql", *arguments], input=typed, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    return sql


QUERY = "SELECT number AS n, ['a,b'] AS names FROM numbers(2)"


def test_an_answer_is_a_table_or_what_is_asked_for(run):
    code, out, _ = run(QUERY)
    assert code == 0
    assert "│ 1 │ ['a,b'] │" in out
    assert list(csv.reader(io.StringIO(run(QUERY, "--format", "csv")[1])))[1] == ["0", "['a,b']"]
    assert json.loads(run(QUERY, "--format", "json")[1])["data"][1] == {"n": 1, "names": ["a,b"]}
    assert run(QUERY, "--format", "tsv")[1].startswith("n\tnames\n")
    assert json.loads(run(QUERY, "--format", "JSONEachRow")[1].splitlines()[0])["names"] == ["a,b"]
    assert json.loads(run(f"{QUERY} FORMAT JSONCompact")[1])["rows"] == 2


def test_a_query_comes_from_standard_input_too(run):
    assert run("--format", "tsv", typed="SELECT 7 AS seven")[1] == "seven\n7\n"
    assert run("-", "--format", "tsv", typed="SELECT 7 AS seven")[1] == "seven\n7\n"


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE facts",
        "INSERT INTO advertisers (advertiser) VALUES ('intruder')",
        "INSERT INTO advertisers SELECT 'intruder', now64(3)",
        "ALTER TABLE facts DELETE WHERE 1",
        "CREATE TABLE more (n UInt8) ENGINE = Memory",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1; DROP TABLE facts",
        "UNDROP TABLE facts",
        "/* SELECT */ kill query WHERE 1",
    ],
)
def test_nothing_can_be_changed(clickhouse, run, statement):
    tables = "SELECT count(), sum(total_rows) FROM system.tables WHERE database = 'pixeltally' AND name != 'facts'"
    before = client(clickhouse).query(tables).result_rows
    code, out, said = run(statement)
    assert (code, out) == (1, "")
    assert "READONLY" in said or "readonly mode" in said or "SYNTAX_ERROR" in said
    assert client(clickhouse).query(tables).result_rows == before


@pytest.mark.parametrize(
    ("query", "format", "sentence"),
    [
        (
            "SELEC 1",
            "table",
            "Syntax error: failed at position 1 (SELEC): SELEC 1. Maybe you meant: SELECT. (SYNTAX_ERROR)",
        ),
        ("SELECT * FROM nowhere", "table", "Unknown table expression identifier 'nowhere'"),
        ("SELECT 1", "Papyrus", "Unknown format Papyrus"),
        ("", "table", "Empty query"),
        # Fails after much of the answer is out.
        ("SELECT number, throwIf(number = 3000000, 'too far') FROM numbers(10000000)", "csv", "too far"),
    ],
)
def test_a_failing_query_says_why_in_one_line(run, query, format, sentence):
    code, _, said = run(query, "--format", format)
    assert code == 1
    assert said.startswith(f"pixeltally: {sentence}")
    assert said.count("\n") == 1


def test_of_an_answer_that_breaks_off_there_is_what_came_and_nothing_else(run):
    code, out, _ = run("SELECT number, throwIf(number = 3000000, 'too far') FROM numbers(10000000)", "--format", "csv")
    assert code == 1
    head, *rows = csv.reader(io.StringIO(out))
    assert head[0] == "number"
    assert [int(row[0]) for row in rows] == list(range(len(rows)))


def test_a_query_that_is_no_utf_8_is_refused(run):
    code, _, said = run(typed="SELECT 1".encode("utf-16"))
    assert (code, said) == (2, "pixeltally: the query is no UTF-8: save it as such\n")


def test_where_clickhouse_is_away_it_says_what_to_do(run, monkeypatch):
    monkeypatch.setenv("PIXELTALLY_CLICKHOUSE_URL", "http://127.0.0.1:1")
    code, _, said = run("SELECT 1")
    assert code == 2
    assert "start `pixeltally up`" in said


def test_an_interrupt_stops_the_query_in_clickhouse_too(clickhouse):
    query = "SELECT max(sipHash64(number)) FROM numbers(1000000000000) SETTINGS max_threads = 1"
    running = f"SELECT count() FROM system.processes WHERE query LIKE '{query[:40]}%'"
    asking = subprocess.Popen(
        # Where tests run in the background, whoever they start would ignore the signal.
        ["env", "--default-signal=INT", sys.executable, "-m", "pixeltally", "sql", query],
        env={**os.environ, "PIXELTALLY_CLICKHOUSE_URL": clickhouse},
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: client(clickhouse).query(running).result_rows == [(1,)], "the query runs")
    asking.send_signal(signal.SIGINT)
    assert asking.wait(10) == 1
    began = time.monotonic()
    wait_until(lambda: client(clickhouse).query(running).result_rows == [(0,)], "the query has stopped")
    assert time.monotonic() - began < 10
