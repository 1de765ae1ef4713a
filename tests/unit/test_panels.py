import re

import pytest

from dashboards.macros import expand
from dashboards.panel import Panel
from dashboards.panels import PANELS

#: What the contract offers to dashboards.
VIEWS = {"impressions", "clicks", "conversions", "minutes", "ctr", "dead_letters"}

#: Where SQL reads from; not `WITH FILL FROM`, which is a bound.
READ = re.compile(r"(?<!FILL )\b(?:FROM|JOIN)\s+([a-z_.]+)")

START_S, END_S = 1_764_000_000, 1_764_000_900


def by_id(panel: Panel) -> str:
    return panel.id


def test_the_time_filter_takes_both_ends():
    assert expand("WHERE $__timeFilter(ts)", START_S, END_S) == (
        "WHERE ts >= toDateTime(1764000000) AND ts <= toDateTime(1764000900)"
    )


def test_the_ends_of_the_range_stand_for_moments():
    assert expand("FROM $__fromTime TO $__toTime STEP 60", START_S, END_S) == (
        "FROM toDateTime(1764000000) TO toDateTime(1764000900) STEP 60"
    )


def test_sql_without_macros_stays_as_it_is():
    assert expand("SELECT '$', 1", START_S, END_S) == "SELECT '$', 1"


@pytest.mark.parametrize("macro", ["$__conditionalAll(x)", "$__timeFilter", "$__timeFilter()", "$__fromtime"])
def test_a_macro_that_only_grafana_knows_is_refused(macro: str):
    with pytest.raises(ValueError, match="unknown macro"):
        expand(f"SELECT {macro}", START_S, END_S)


def test_ids_are_unique():
    assert len({panel.id for panel in PANELS}) == len(PANELS)


def test_key_figures_are_unique_over_all_panels():
    figures = [column.name for panel in PANELS if panel.picture == "stat" for column in panel.columns]
    assert len(set(figures)) == len(figures)


@pytest.mark.parametrize("panel", PANELS, ids=by_id)
def test_sql_reads_the_contracts_views_only(panel: Panel):
    read = set(READ.findall(panel.sql))
    assert read
    assert read <= VIEWS


@pytest.mark.parametrize("panel", PANELS, ids=by_id)
def test_every_read_is_held_to_the_range(panel: Panel):
    assert panel.sql.count("$__timeFilter(") == len(READ.findall(panel.sql))


@pytest.mark.parametrize("panel", PANELS, ids=by_id)
def test_notes_name_columns_that_are_there(panel: Panel):
    named = {name for column in panel.columns for name in re.findall(r"{(\w+)}", column.note)}
    assert named <= {column.name for column in panel.columns}


@pytest.mark.parametrize("panel", PANELS, ids=by_id)
def test_a_panel_says_what_it_counts(panel: Panel):
    assert panel.title
    assert panel.description.endswith(".")


def test_uniques_are_never_summed():
    assert not [panel.id for panel in PANELS if re.search(r"sum\w*\(\s*uniques", panel.sql)]
