"""The plain views that the bench compares with answer whatever panels ask."""

from panel_sql import tables

from bench import warehouse


def test_there_is_a_plain_view_for_each_that_panels_read():
    panels = list(warehouse._panels("24h"))
    assert panels
    for title, sql, _ in panels:
        assert tables(sql) <= warehouse._VIEWS.keys() | set(warehouse._SAME), title
