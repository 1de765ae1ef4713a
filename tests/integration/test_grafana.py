"""`pixeltally grafana` against a stand-in of Grafana that keeps state and answers with Grafana's codes."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grafana_stand_in
import pytest
from click.testing import CliRunner
from facts import client, make_tables
from hypothesis import given
from hypothesis import strategies as st

from dashboards.boards import TENANT_BOARDS
from dashboards.boards.render import dashboard
from dashboards.provision.api import Failed, Grafana
from dashboards.provision.drift import drift
from dashboards.provision.organisation import Organisation, Tenant
from pixeltally.cli import main
from pixeltally.errors import Refused
from pixeltally.keys import Keys, parse
from pixeltally.signing import password

ACME = Tenant("acme", "clickhouse", 8123, False, "tenant_acme", "word", "1")
GLOBEX = Tenant("globex", "clickhouse", 8123, False, "tenant_globex", "other", "1")


@pytest.fixture
def stand_in() -> Iterator[grafana_stand_in.Grafana]:
    with grafana_stand_in.grafana() as running:
        yield running


def settle(stand_in: grafana_stand_in.Grafana, tenant: Tenant = ACME, dry: bool = False) -> list[str]:
    """Run it for one advertiser; what it said."""
    said: list[str] = []
    grafana = Grafana(stand_in.url, grafana_stand_in.USER, grafana_stand_in.PASSWORD)
    part = Organisation(grafana, tenant, said.append, dry)
    part.settle()
    assert part.changes == len(said)
    return said


def test_an_advertiser_gets_its_part_and_a_second_run_changes_nothing(stand_in: grafana_stand_in.Grafana):
    said = settle(stand_in)
    assert [line.split(" with ")[0] for line in said] == [
        "acme: make organisation Pixeltally acme",
        "acme: make data source",
        "acme: make folder Pixeltally",
        "acme: make board Campaign",
        "acme: make board E-mail",
        "acme: make board Invalid traffic",
        "acme: make alert rules",
        "acme: make viewer pixeltally-acme",
    ]
    source = stand_in.held[2, "source", "pixeltally"]
    assert source["jsonData"]["username"] == "tenant_acme"
    assert stand_in.passwords[2] == {"password": "word"}
    assert stand_in.orgs[2] == {"name": "Pixeltally acme", "members": {1: "Admin", 2: "Viewer"}}
    assert stand_in.orgs[1]["members"] == {1: "Admin"}
    for board in TENANT_BOARDS:
        saved = stand_in.held[2, "board", board.uid]
        first = saved["dashboard"]["templating"]["list"][0]
        assert (first["type"], first["query"]) == ("constant", "acme")
        assert saved["meta"]["folderUid"] == "pixeltally"
    (told,) = re.findall(r"with the password (\S+) ", said[-1])
    assert stand_in.users[2]["secret"] == told

    before, writes = stand_in.state(), len(stand_in.writes)
    assert settle(stand_in) == []
    assert stand_in.state() == before
    assert len(stand_in.writes) == writes


def test_advertisers_do_not_meet(stand_in: grafana_stand_in.Grafana):
    settle(stand_in)
    before = stand_in.state()
    settle(stand_in, GLOBEX)
    assert settle(stand_in) == []
    assert stand_in.held[3, "source", "pixeltally"]["jsonData"]["username"] == "tenant_globex"
    assert stand_in.orgs[3]["members"] == {1: "Admin", 3: "Viewer"}
    held = [[key, value] for key, value in stand_in.state()[0] if key.startswith("(2,")]
    assert held == before[0]


def test_a_dry_run_says_the_same_and_writes_nothing(stand_in: grafana_stand_in.Grafana):
    would = settle(stand_in, dry=True)
    assert stand_in.writes == []
    did = settle(stand_in)
    assert [line.split(" with ")[0] for line in would] == [line.split(" with ")[0] for line in did]
    stand_in.held[2, "folder", "pixeltally"]["title"] = "Ours"
    writes = len(stand_in.writes)
    assert settle(stand_in, dry=True) == ["acme: set folder Pixeltally back: title"]
    assert len(stand_in.writes) == writes


def test_what_somebody_changed_is_told_and_set_back(stand_in: grafana_stand_in.Grafana):
    settle(stand_in)
    settled = stand_in.state()
    stand_in.held[2, "source", "pixeltally"]["jsonData"]["username"] = "pixeltally"
    stand_in.held[2, "folder", "pixeltally"]["title"] = "Ours"
    campaign = stand_in.held[2, "board", "pixeltally-campaign"]
    campaign["dashboard"]["panels"][2]["title"] = "Mine"
    campaign["dashboard"]["templating"]["list"][0]["query"] = "globex"
    stand_in.held[2, "board", "pixeltally-mail"]["meta"]["folderUid"] = ""
    del stand_in.held[2, "board", "pixeltally-invalid"]
    stand_in.held[2, "rules", "pixeltally/pixeltally"]["rules"][0]["isPaused"] = True
    stand_in.users[2]["isGrafanaAdmin"] = True
    stand_in.orgs[2]["members"][2] = "Editor"
    stand_in.orgs[1]["members"][2] = "Viewer"
    assert settle(stand_in) == [
        "acme: set data source back: jsonData.username",
        "acme: set folder Pixeltally back: title",
        "acme: set board Campaign back: dashboard.templating.list[0].query, dashboard.panels[2].title",
        "acme: set board E-mail back: meta.folderUid",
        "acme: make board Invalid traffic",
        "acme: set alert rules back: rules[0].isPaused",
        "acme: take pixeltally-acme's administration of Grafana away",
        "acme: make pixeltally-acme, Editor, a viewer again",
        "acme: take pixeltally-acme out of organisation Main Org.",
    ]
    found, wanted = stand_in.state(), settled
    assert strip_versions(found) == strip_versions(wanted)


def strip_versions(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: strip_versions(each) for name, each in value.items() if name != "version"}
    return [strip_versions(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("lose", [False, True], ids=["refused", "answer lost"])
def test_a_broken_run_can_be_resumed_wherever_it_broke(lose: bool):
    with grafana_stand_in.grafana() as whole:
        settle(whole)
        wanted, writes = strip_versions(whole.state()), len(whole.writes)
    for at in range(1, writes + 1):
        with grafana_stand_in.grafana() as broken:
            broken.break_at, broken.lose = at, lose
            with pytest.raises(Refused if lose else Failed):
                settle(broken)
            settle(broken)
            assert strip_versions(broken.state()) == wanted
            assert settle(broken) == []


def test_an_organisation_that_was_there_is_taken_over(stand_in: grafana_stand_in.Grafana):
    stand_in.orgs[2] = {"name": "Pixeltally acme", "members": {}}
    said = settle(stand_in)
    assert said[0] == "acme: make admin its administrator"
    stand_in.orgs[2]["members"][1] = "Viewer"
    assert settle(stand_in) == ["acme: make admin its administrator"]


def test_a_viewer_is_let_in_where_grafana_gives_users_their_own_organisation(stand_in: grafana_stand_in.Grafana):
    stand_in.auto_assign_org = False
    assert settle(stand_in)[-2:] == [
        "acme: let pixeltally-acme in",
        "acme: take pixeltally-acme out of organisation pixeltally-acme",
    ]
    assert [org["members"] for org in stand_in.orgs.values()] == [{1: "Admin"}, {1: "Admin", 2: "Viewer"}, {}]
    assert settle(stand_in) == []


def test_another_key_sets_the_password_anew(stand_in: grafana_stand_in.Grafana):
    settle(stand_in)
    rotated = replace(ACME, password="new", key_id="2")
    assert settle(stand_in, rotated) == ["acme: set data source back: jsonData.pixeltallyKey"]
    assert stand_in.passwords[2] == {"password": "new"}


def test_somebody_elses_data_source_of_that_name_is_left_alone_and_said(stand_in: grafana_stand_in.Grafana):
    stand_in.orgs[2] = {"name": "Pixeltally acme", "members": {1: "Admin"}}
    stand_in.held[2, "source", "x"] = {"uid": "x", "name": "Pixeltally", "version": 1}
    with pytest.raises(Failed, match="POST datasources: 409, data source with the same name already exists"):
        settle(stand_in)
    assert stand_in.held[2, "source", "x"]["version"] == 1


def test_numeric_ids_find_nothing_where_uids_are_due(stand_in: grafana_stand_in.Grafana):
    settle(stand_in)
    grafana = Grafana(stand_in.url, grafana_stand_in.USER, grafana_stand_in.PASSWORD)
    assert grafana.find("datasources", "1", organisation=2) is None
    assert grafana.find("datasources", "uid", "pixeltally", organisation=2)["uid"] == "pixeltally"


def test_a_name_stays_within_its_part_of_the_path(stand_in: grafana_stand_in.Grafana):
    grafana = Grafana(stand_in.url, grafana_stand_in.USER, grafana_stand_in.PASSWORD)
    assert grafana.find("orgs", "name", "../../users/lookup?loginOrEmail=admin") is None


def test_a_grafana_that_cannot_be_used_is_refused_in_a_sentence(stand_in: grafana_stand_in.Grafana):
    with pytest.raises(Refused, match="refuses admin: PIXELTALLY_GRAFANA_USER"):
        Grafana(stand_in.url, "admin", "wrong").find("orgs", "name", "x")
    with pytest.raises(Refused, match="doesn't answer on http://127.0.0.1:9 "):
        Grafana("http://127.0.0.1:9", "admin", "wrong").find("orgs", "name", "x")
    with pytest.raises(Refused, match="is no address"):
        Grafana("127.0.0.1:3000", "admin", "wrong")


def test_the_command(stand_in: grafana_stand_in.Grafana, clickhouse: str, tmp_path: Path):
    make_tables(clickhouse)
    database = client(clickhouse)
    database.insert("advertisers", [["acme"], ["globex"], ["acme"]], column_names=["advertiser"])
    environ = {
        "PIXELTALLY_DATA": str(tmp_path),
        "PIXELTALLY_SECRET": "s",
        "PIXELTALLY_CLICKHOUSE_URL": clickhouse,
        "PIXELTALLY_GRAFANA_URL": stand_in.url,
        "PIXELTALLY_GRAFANA_PASSWORD": grafana_stand_in.PASSWORD,
    }

    def run(*arguments: str, **more: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["grafana", *arguments], env=environ | more)
        return done.exit_code, done.output.splitlines()[-1]

    names = {row[0] for row in database.query("SELECT DISTINCT advertiser FROM advertisers").result_rows}
    count = len(names)
    assert {"acme", "globex"} <= names
    assert run("--dry-run") == (1, f"{count} advertisers, {8 * count} changes to make, 0 failed")
    assert run() == (0, f"{count} advertisers, {8 * count} changes, 0 failed")
    assert run() == (0, f"{count} advertisers, 0 changes, 0 failed")
    assert run("--dry-run") == (0, f"{count} advertisers, 0 changes to make, 0 failed")
    key = Keys(parse("s"), tmp_path, 400).signing()
    org = next(at for at, each in stand_in.orgs.items() if each["name"] == "Pixeltally acme")
    assert stand_in.passwords[org] == {"password": password(key, "acme")}
    stand_in.healthy = False
    assert run() == (1, f"{count} advertisers, 0 changes, {count} failed")
    code, last = run(PIXELTALLY_GRAFANA_PASSWORD="")
    assert code == 2
    assert "PIXELTALLY_GRAFANA_PASSWORD is unset" in last


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_what_grafana_leaves_out_and_adds_is_no_drift(value: Any):
    assert list(drift(value, value)) == []
    assert list(drift({"a": value}, {"a": value, "id": 1, "version": 2})) == []
    assert list(drift({"a": value}, {"a": grafana_stand_in.without_nulls(value)})) == []


@pytest.mark.parametrize(
    ("wanted", "found"), [("x", None), (None, "x"), (["x"], []), ([], ["x"]), ({"b": 1}, {}), (0, ""), ([1, 2], [2, 1])]
)
def test_all_else_is_drift(wanted: Any, found: Any):
    assert list(drift({"a": wanted}, {"a": found}))


def test_drift_names_the_place():
    board = dashboard(TENANT_BOARDS[0], "acme")
    other = dashboard(TENANT_BOARDS[0], "globex")
    assert list(drift(board, other)) == [
        "templating.list[0].query",
        "templating.list[0].current.text",
        "templating.list[0].current.value",
    ]
