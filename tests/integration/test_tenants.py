"""A tenant reads its own rows and nobody else's: by no table, by no view, by no trick; and what the command does.

Proved on the real engine with the rights that the SQL for a server gives (see tests/tenant_engine.py). Not proved here,
for want of a server: that a server carries that SQL out. There `advertiser add` tries it each time.
"""

import json
import shutil
from datetime import datetime

import pytest
from click.testing import CliRunner
from facts import client, fact, insert_into, make_tables
from processes import start_clickhouse
from tenant_engine import Denied, tenant

from ledger.rights import HIDDEN, READABLE, SHARED, Leak, check, statements
from pixeltally.cli import main
from pixeltally.database import DATABASE
from pixeltally.errors import Refused
from sinks import charges, slices

NOW_MS = 1_790_000_040_000
TODAY_S = NOW_MS // 86_400_000 * 86_400
UNIT = {"campaign": "spring", "creative": "banner", "placement": ""}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two advertisers' rows in every table: (folder, {table: the tenant's}, all tables, those with an advertiser)."""
    folder = tmp_path_factory.mktemp("tenants")
    with start_clickhouse(folder) as server:
        make_tables(server.url)
        ours = client(server.url)
        for advertiser, first in (("default", 100), ("zeta", 200)):
            kinds = ("impression", "open", "click", "conversion")
            insert_into(
                ours,
                "facts_in",
                [
                    fact(
                        NOW_MS + n * 7000, kind, advertiser=advertiser, visitor=first + n % 7, order=f"{advertiser}{n}"
                    )
                    for n in range(40)
                    for kind in kinds
                ],
            )
            click = fact(NOW_MS, "click", advertiser=advertiser, visitor=first)
            order = fact(NOW_MS, "conversion", advertiser=advertiser, click_id=click["id"])
            insert_into(ours, "facts_in", [click, order])
            told = {"advertiser": advertiser, "partition": 0, "version": 1, "gross": first, "valid": first, **UNIT}
            insert_into(ours, "minute_rows", [{**told, "minute": NOW_MS // 1000 - 600}])
            insert_into(ours, "minute_rows", [{**told, "minute": NOW_MS // 1000, "late": True}])
            insert_into(ours, "settled_minutes", [{**told, "minute": NOW_MS // 1000 - 6000}])
            ours.command(f"INSERT INTO rerates (advertiser, campaign) VALUES ('{advertiser}', 'spring')")
            ours.command(f"INSERT INTO sent_list VALUES ('{advertiser}', 'spring', {first}, 'who', 0, 0)")
            for since, start_s, pricing in (("1970-01-01", 0, "cpm"), ("2026-09-21", TODAY_S, "cpc")):
                terms = f"'{since}', {start_s}, 'UTC', '{pricing}', 'unique', {first}, 'EUR', 0, NULL, NULL, 1"
                ours.command(f"INSERT INTO terms_set VALUES ('{advertiser}', 'spring', {terms})")
            ours.command(
                f"INSERT INTO terms_set VALUES ('{advertiser}', 'steady', '1970-01-01', 0, 'UTC', 'cpm', 'unique',"
                f" {first}, 'EUR', 0, NULL, NULL, 1)"
            )
            insert_into(ours, "facts_in", [fact(NOW_MS, advertiser=advertiser, campaign="steady", visitor=first)])
            day = f"'{advertiser}', 'spring', '2026-01-01'"
            counts = f"{first}, 2, 3, 4, 5, 6, 7, 8, {{}}, 9"
            ours.command(f"INSERT INTO settled_days VALUES ({day}, '2026-01-01', 0, 'UTC', {counts})")
            ours.command(f"INSERT INTO settled_rules VALUES ({day}, 'rules of {advertiser}')")
            ours.command(f"INSERT INTO advertisers VALUES ('{advertiser}', 0)")
            ours.command(
                "INSERT INTO erasures VALUES"
                f" (generateUUIDv4(), 0, 'ip', '{advertiser}', 'spring', '2026-09-01', {first})"
            )
            ours.command(f"INSERT INTO forgotten_visitors VALUES ({first}, '{advertiser}', 0, generateUUIDv4(), 1)")
        slices.count(ours, datetime(2100, 1, 1))
        charges.keep(ours, datetime(2100, 1, 1))
        ours.command("INSERT INTO retentions (days) VALUES (400)")
        letter = {
            "id": "00000000-0000-7000-8000-000000000001",
            "ts": 1,
            "reason": "bad-name",
            "origin": "x",
            "line": "y",
        }
        insert_into(ours, "dead_letters_in", [letter])
        rows = {}
        for table, parameters in READABLE.items():
            query = f"SELECT * FROM {DATABASE}.{table}{parameters} WHERE advertiser = 'default' ORDER BY ALL"
            rows[table] = [json.loads(row) for row in ours.raw_query(query, fmt="JSONCompactEachRow").splitlines()]
        mine = f"database = '{DATABASE}'"
        everything = {row[0] for row in ours.query(f"SELECT name FROM system.tables WHERE {mine}").result_rows}
        owned = ours.query(f"SELECT table FROM system.columns WHERE {mine} AND name = 'advertiser'").result_rows
    return folder, rows, everything, {table for (table,) in owned}


@pytest.fixture(scope="module")
def mine(data):
    with tenant(data[0], statements("default", "secret")) as it:
        yield it


def test_every_table_is_covered_or_denied(data):
    assert data[2] == READABLE.keys() | HIDDEN | SHARED, "ledger/rights.py must say who reads a new table"
    assert len(data[2]) == len(READABLE) + len(HIDDEN) + len(SHARED)
    assert not SHARED & data[3], "what has an advertiser is not of nobody"


def test_every_view_is_read_with_the_readers_rights(clickhouse):
    make_tables(clickhouse)
    views = client(clickhouse).query(
        "SELECT name, create_table_query FROM system.tables WHERE database = 'pixeltally' AND engine = 'View'"
    )
    assert {row[0] for row in views.result_rows} <= READABLE.keys() | SHARED | HIDDEN
    assert not [name for name, sql in views.result_rows if "DEFINER" in sql or "SQL SECURITY NONE" in sql]


@pytest.mark.parametrize("table", READABLE)
def test_a_tenant_reads_all_of_its_own_rows_and_no_others(data, mine, table):
    rows = data[1][table]
    assert rows, "the data must have some"
    assert mine.ask(f"SELECT * FROM {DATABASE}.{table}{READABLE[table]} ORDER BY ALL") == rows


@pytest.mark.parametrize("table", sorted(HIDDEN))
def test_a_tenant_reads_nothing_of_the_rest(mine, table):
    with pytest.raises(Denied, match="ACCESS_DENIED"):
        mine.ask(f"SELECT * FROM {DATABASE}.{table}")


@pytest.mark.parametrize(
    "trick",
    [
        "SELECT count() FROM merge('pixeltally', '^(facts|facts_in|dead_letters)$')",
        "SELECT count() FROM pixeltally.facts PREWHERE throwIf(advertiser != 'default') = 0",
        "SELECT count() FROM pixeltally.facts WHERE throwIf(advertiser != 'default') = 0",
        "SELECT count() FROM pixeltally.facts SETTINGS additional_table_filters = {'pixeltally.facts': '1'}",
        "SELECT count() FROM pixeltally.facts SETTINGS optimize_trivial_count_query = 1",
        "SELECT count() FROM (SELECT * FROM pixeltally.facts AS a LEFT ANY JOIN pixeltally.facts AS b USING id)",
    ],
)
def test_tricks_that_are_allowed_count_only_its_own(data, mine, trick):
    assert mine.ask(trick) == [[len(data[1]["facts"])]]


@pytest.mark.parametrize(
    "trick",
    [
        "SELECT * FROM mergeTreeIndex('pixeltally', 'facts')",
        "SELECT * FROM view(SELECT * FROM pixeltally.dead_letters)",
        "SELECT * FROM remote('127.0.0.1', 'pixeltally', 'facts')",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/')",
        "SELECT * FROM loop('pixeltally', 'facts')",
        "SELECT * FROM system.row_policies",
        "SELECT * FROM system.users",
        "INSERT INTO pixeltally.facts_in (advertiser) VALUES ('default')",
        "ALTER TABLE pixeltally.facts DELETE WHERE advertiser = 'default'",
        "CREATE VIEW pixeltally.mine SQL SECURITY NONE AS SELECT * FROM pixeltally.facts",
        "CREATE TEMPORARY TABLE mine AS SELECT * FROM pixeltally.facts",
        "CREATE ROW POLICY all ON pixeltally.* USING 1 TO ALL",
        "SELECT 1 SETTINGS readonly = 0",
        "EXECUTE AS zeta SELECT 1",
    ],
)
def test_other_tricks_are_refused(mine, trick):
    with pytest.raises(Denied, match=r"ACCESS_DENIED|READONLY|SUPPORT_IS_DISABLED"):
        mine.ask(trick)


def is_any(asked):
    """`check` asks like this."""

    def ask(query):
        try:
            return bool(asked.ask(query))
        except Denied as denial:
            raise Refused(str(denial)) from None

    return ask


@pytest.mark.parametrize("table", sorted(SHARED))
def test_a_tenant_reads_what_is_of_no_advertiser(mine, table):
    assert mine.ask(f"SELECT count() > 0 FROM {DATABASE}.{table}") == [[1]]


def test_the_check_passes_what_is_right(data, mine):
    assert check("default", data[2], is_any(mine)) == len(READABLE)


@pytest.mark.parametrize(
    ("uncovered", "granted", "leak"),
    [
        ({"advertisers"}, "", "tenant_default reads other advertisers' rows of advertisers"),
        ({"dead_letters"}, ", SELECT ON pixeltally.dead_letters", "tenant_default reads dead_letters"),
    ],
)
def test_the_check_finds_a_table_without_its_policy_and_one_too_many(data, tmp_path, uncovered, granted, leak):
    shutil.copytree(data[0], tmp_path / "copy", symlinks=True)
    sql = [
        statement.replace(" TO pixeltally_tenant WITH", f"{granted} TO pixeltally_tenant WITH")
        for statement in statements("default", "")
    ]
    with tenant(tmp_path / "copy", sql, uncovered) as it, pytest.raises(Leak, match=leak):
        check("default", data[2], is_any(it))


@pytest.mark.parametrize("name", ["acme", "a.b-c_d", "0"])
def test_clickhouse_reads_the_statements_as_they_are_meant(clickhouse, name):
    ours = client(clickhouse)
    normal = [
        ours.query("SELECT formatQuerySingleLine({sql:String})", parameters={"sql": sql}).result_rows[0][0]
        for sql in statements(name, "secret")
    ]
    text = "\n".join(normal)
    own = "advertiser = replaceOne(currentUser(), 'tenant_', '')"
    for kind in ("PERMISSIVE", "RESTRICTIVE"):
        [policy] = [sql for sql in normal if f" AS {kind} FOR SELECT USING {own} TO pixeltally_tenant" in sql]
        assert policy.partition(" ON ")[2].partition(" AS ")[0].split(", ") == [
            f"{DATABASE}.{name}" for name in READABLE
        ]
    assert normal.index(policy) < normal.index(next(sql for sql in normal if sql.startswith("GRANT ")))
    assert "secret" not in text
    [grant] = [sql for sql in normal if sql.endswith(" TO pixeltally_tenant WITH REPLACE OPTION")]
    granted = grant.removeprefix("GRANT ").partition(" TO ")[0].split(", ")
    assert granted == [f"SELECT ON {DATABASE}.{table}" for table in [*READABLE, *sorted(SHARED)]]


def test_on_the_embedded_engine_an_advertiser_is_listed_and_the_command_says_what_it_lacks(clickhouse, tmp_path):
    make_tables(clickhouse)
    told = {"minute": 1_790_000_040, "advertiser": "counted", "partition": 0, "version": 1, **UNIT}
    insert_into(client(clickhouse), "minute_rows", [told])
    environ = {"PIXELTALLY_CLICKHOUSE_URL": clickhouse, "PIXELTALLY_DATA": str(tmp_path)}

    def run(*arguments):
        return CliRunner().invoke(main, ["advertiser", *arguments], env=environ, catch_exceptions=False)

    for said in ("tenanted: added", "tenanted: was there already"):
        done = run("add", "tenanted")
        assert done.exit_code == 1
        assert said in done.stdout
        assert run("token", "tenanted").stdout.strip() in done.stdout
        assert "the embedded ClickHouse has none" in done.stderr
    rows = {row["advertiser"]: row for row in json.loads(run("list", "--format", "json").stdout)}
    assert rows["tenanted"]["added_at"] is not None
    assert rows["tenanted"]["clickhouse_user"] is None
    assert rows["counted"]["added_at"] is None
    assert rows["counted"]["newest_minute"].startswith("2026-09-21T")
    assert run("add", "No Name").exit_code == 2
