"""The committed boards are current, and sound as far as Grafana's documents tell."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from panel_sql import tables
from ruamel.yaml import YAML

from dashboards.boards import BOARDS, TENANT_BOARDS
from dashboards.boards.alerts import ALERTS, TENANT_ALERTS
from dashboards.boards.files import ROOT, files, write
from dashboards.boards.render import dashboard
from dashboards.panel import Panel
from dashboards.provision.organisation import tenant
from ledger import rights
from pixeltally.settings import Settings

Json = dict[str, Any]

PANELS = [place.panel for board in BOARDS for place in board.places]
COMMITTED = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "boards").iterdir())}

#: What the contract offers to dashboards (parts of minutes add up to `minutes`); plans; and, for the health of the
#: pipeline, facts and reconciliations.
VIEWS = {"impressions", "opens", "clicks", "orders_between", "minute_parts", "dead_letters"}
VIEWS |= {"counted_parts", "open_parts", "slice_visitors", "origins_between", "charges_lately"}
VIEWS |= {"terms_set", "facts", "reconciliations"}

#: Units of Grafana's that our boards use (its list is `valueFormats/categories.ts`).
UNITS = {"locale", "none", "percentunit", "dateTimeAsLocal", "s", "cps"}


def named(board: Json) -> str:
    return board["uid"]


boards = pytest.mark.parametrize("board", COMMITTED.values(), ids=named)


def walk(value: Any) -> Any:
    """Every dictionary in it."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)


def test_the_committed_files_are_current():
    wanted = files()
    committed = {f"boards/{name}": (ROOT / "boards" / name).read_text() for name in COMMITTED}
    committed |= {
        f"provisioning/alerting/{path.name}": path.read_text() for path in (ROOT / "provisioning/alerting").iterdir()
    }
    assert committed == wanted, "run `make boards`"


def test_writing_takes_away_the_files_of_boards_that_are_no_more(tmp_path: Path):
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "old.json").write_text("{}")
    write(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")} == files().keys()


def test_every_board_of_the_issue_is_there():
    titles = {board["title"] for board in COMMITTED.values()}
    assert titles == {"Network overview", "Campaign", "E-mail", "Invalid traffic", "Pipeline health"}


def test_uids_and_panel_ids_are_unique_and_as_grafana_takes_them():
    uids = [board["uid"] for board in COMMITTED.values()] + [alert.uid for alert in ALERTS]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in uids)
    assert {name.removesuffix(".json") for name in COMMITTED} == {board["uid"] for board in COMMITTED.values()}


def test_each_panel_is_defined_once():
    seen: dict[str, Panel] = {}
    for panel in PANELS:
        assert seen.setdefault(panel.id, panel) is panel


@boards
def test_the_schema_is_the_classic_42_without_what_grafana_gives_itself(board: Json):
    assert board["schemaVersion"] == 42
    assert board.keys().isdisjoint({"id", "version"})


@boards
def test_panels_have_ids_of_their_own_and_do_not_overlap(board: Json):
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in combinations([panel["gridPos"] for panel in board["panels"]], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


@boards
def test_every_query_goes_to_our_source_with_a_numeric_format(board: Json):
    source = YAML(typ="safe").load(ROOT / "provisioning/datasources/clickhouse.yml")["datasources"][0]
    asked = [each for each in walk(board) if "rawSql" in each]
    assert len(asked) >= len(board["panels"])
    for query in asked:
        assert query["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert type(query["format"]) is int
        assert (query["format"], query["queryType"]) in {(0, "timeseries"), (1, "table")}
        assert query["editorType"] == "sql"
    sources = {each["uid"] for board_part in walk(board) if isinstance(each := board_part.get("datasource"), dict)}
    assert sources <= {source["uid"], "-- Grafana --"}


@boards
def test_every_number_has_a_unit_that_grafana_knows(board: Json):
    for panel in board["panels"]:
        for override in panel["fieldConfig"]["overrides"]:
            units = [each["value"] for each in override["properties"] if each["id"] == "unit"]
            assert set(units) <= UNITS
            names = [each["value"] for each in override["properties"] if each["id"] == "displayName"]
            assert len(names) == 1


@boards
def test_thresholds_rise_from_nothing(board: Json):
    for each in walk(board):
        if "steps" in each:
            values = [step["value"] for step in each["steps"]]
            assert values[0] is None
            assert values[1:] == sorted(values[1:])


@boards
def test_variables_cascade(board: Json):
    names = [each["name"] for each in board["templating"]["list"]]
    assert names == ["advertiser", "campaign", "creative"][: len(names)]
    for place, each in enumerate(board["templating"]["list"]):
        assert re.findall(r"\$\{(\w+):singlequote\}", each["query"]) == names[:place]
        assert each["refresh"] == 2
    used = {name for each in walk(board["panels"]) for name in re.findall(r"\$\{(\w+)", each.get("rawSql", ""))}
    assert used <= {*names, "__timezone"}


@boards
def test_links_keep_the_range_and_lead_to_boards(board: Json):
    assert all(link["keepTime"] and link["includeVars"] for link in board["links"])
    uids = {each["uid"] for each in COMMITTED.values()}
    for each in walk(board["panels"]):
        if "url" in each:
            assert each["url"].endswith("&${__url_time_range}")
            assert re.match(r"/d/([\w-]+)\?", each["url"])[1] in uids  # type: ignore[index]


def test_an_advertisers_boards_are_fixed_to_it():
    assert {board.title for board in TENANT_BOARDS} == {"Campaign", "E-mail", "Invalid traffic"}
    for board in TENANT_BOARDS:
        first, *others = dashboard(board, "acme")["templating"]["list"]
        assert (first["type"], first["query"], first["hide"]) == ("constant", "acme", 2)
        assert others == dashboard(board)["templating"]["list"][1:]
        marks = {each["name"] for each in dashboard(board, "acme")["annotations"]["list"]}
        assert "Gaps" not in marks, "an advertiser is quiet more often than the network is out"


panels = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.id)


@panels
def test_a_panel_says_what_it_counts_and_divides_sums_by_sums(panel: Panel):
    assert panel.title
    assert panel.description.endswith(".")
    assert not re.search(r"\bavg\w*\(|sum\w*\((?:\w+\.)?ctr|sum\w*\((?:minutes\.)?uniques\)", panel.sql)


@panels
def test_a_panel_reads_what_it_may_and_sets_nothing(panel: Panel):
    assert tables(panel.sql)
    assert tables(panel.sql) <= VIEWS
    assert not re.search(r"\bSETTINGS\b|\bmerge\(|\bremote|\burl\(|\bfile\(", panel.sql)


@panels
def test_notes_and_links_name_what_is_there(panel: Panel):
    names = {column.name for column in panel.columns}
    for column in panel.columns:
        assert set(re.findall(r"{(\w+)}", column.note)) <= names
        assert not column.link or column.link in {board.uid for board in BOARDS}
    assert panel.columns[0].unit != "change"


def test_rules_are_whole():
    (group,) = json.loads((ROOT / "provisioning/alerting/pixeltally.json").read_text())["groups"]
    assert group["interval"] == "1m"
    for rule in group["rules"]:
        steps = {each["refId"]: each for each in rule["data"]}
        assert rule["condition"] == "B"
        assert steps["B"]["model"]["expression"] in steps
        assert "${" not in steps["A"]["model"]["rawSql"], "rules know no variables"
        assert rule["annotations"]["summary"].endswith(".")
        assert re.fullmatch(r"\d+[smh]", rule["for"])


def test_advertisers_may_read_what_their_boards_ask():
    asked = [place.panel.sql for board in TENANT_BOARDS for place in board.places]
    asked += [alert.sql for alert in TENANT_ALERTS]
    asked += [mark.sql for board in TENANT_BOARDS for mark in board.marks("acme")]
    asked += [each["query"] for board in TENANT_BOARDS for each in dashboard(board)["templating"]["list"]]
    named = {name for sql in asked for name in re.findall(r"(?<!FILL )(?<!ARRAY )\b(?:FROM|JOIN)\s+([a-z_]+)", sql)}
    own = {name for sql in asked for name in re.findall(r"\b(\w+) AS\s+\(", sql)}
    assert named - own <= rights.READABLE.keys()
    assert tenant(Settings.from_env({"PIXELTALLY_SECRET": "s"}), "acme").user == rights.user("acme")
