import pytest

from dashboards.macros import expand

START_S, END_S = 1_764_000_000, 1_764_000_900


def test_the_time_filter_takes_both_ends_as_the_plugin_does():
    assert expand("WHERE $__timeFilter(ts)", START_S, END_S) == (
        "WHERE ts >= toDateTime(1764000000) AND ts <= toDateTime(1764000900)"
    )


def test_a_range_may_leave_its_end_to_the_next_one():
    assert expand("WHERE $__timeFilter(ts)", START_S, END_S, until="<").endswith("ts < toDateTime64(1764000900, 3)")


def test_the_ends_of_the_range_stand_for_moments():
    assert expand("FROM $__fromTime TO $__toTime STEP 60", START_S, END_S) == (
        "FROM toDateTime(1764000000) TO toDateTime(1764000900) STEP 60"
    )


def test_sql_without_macros_stays_as_it_is():
    assert expand("SELECT '$', 1", START_S, END_S) == "SELECT '$', 1"


def test_a_variable_takes_its_quotes_along():
    sql = expand("x IN (${a:singlequote}) AND y = '${a}'", START_S, END_S, 60, {"a": "{a:String}"})
    assert sql == "x IN ({a:String}) AND y = {a:String}"


@pytest.mark.parametrize("macro", ["$__conditionalAll(x)", "$__timeFilter", "$__timeFilter()", "$__fromtime"])
def test_a_macro_that_only_grafana_knows_is_refused(macro: str):
    with pytest.raises(ValueError, match="unknown macro"):
        expand(f"SELECT {macro}", START_S, END_S)


@pytest.mark.parametrize("variable", ["'${nobody}'", "${nobody:singlequote}", "${a}", "${a:csv}"])
def test_a_variable_that_is_not_known_or_not_quoted_is_refused(variable: str):
    with pytest.raises(ValueError, match="unknown variable"):
        expand(f"SELECT {variable}", START_S, END_S, 60, {"a": "1"})
