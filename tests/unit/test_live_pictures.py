"""Rows become what is shown of them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly
import pytest
from dash import html

from dashboards.boards import BOARDS, campaign, invalid, mail, money, network, pipeline
from dashboards.live import page, words
from dashboards.live.charts import series
from dashboards.live.colours import COLOURS
from dashboards.live.feed import Snapshot
from dashboards.live.markup import markup
from dashboards.live.page import Browser, board, freshness, has_numbers, numbers
from dashboards.live.pictures import figures, funnel, heat
from dashboards.live.table import MOST_ROWS, table
from dashboards.live.view import View, Window
from dashboards.live.world import names, world
from dashboards.panel import Panel
from pixeltally.settings import Settings

ASSETS = Path(page.__file__).parent / "assets"
VIEW = View(campaign.BOARD, "Asia/Kolkata", span="7d", chosen=(("advertiser", "acme"),))
NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
SETTINGS = Settings.from_env({"PIXELTALLY_SECRET": "s"})


def told(component: Any) -> str:
    """All the texts of a component, in order."""
    if isinstance(component, str):
        return component
    if isinstance(component, list | tuple):
        return "|".join(filter(None, map(told, component)))
    return told(getattr(component, "children", None) or "")


def hrefs(component: Any) -> list[str]:
    return re.findall(r'"href": "([^"]+)"', json.dumps(component, default=lambda each: each.to_plotly_json()))


def zeros(panel: Panel) -> list[tuple[Any, ...]]:
    return [tuple(0 if column.unit not in ("text", "time") else None for column in panel.columns)]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567, "count", "1,234,567"),
        (0.00491, "ratio", "0.49%"),
        (-0.051, "change", "\N{MINUS SIGN}5.1%"),
        (0.2, "change", "+20.0%"),
        (1.456, "number", "1.46"),
        (4.21, "seconds", "4.2 s"),
        (95, "seconds", "95 s"),
        (600, "seconds", "10 min"),
        (12.34, "per_second", "12.3/s"),
        (None, "count", "\N{EN DASH}"),
        ("", "text", "\N{EN DASH}"),
        (0, "count", "0"),
        (1_800_000_017_000, "time", "15 Jan 13:30:17"),
        (1_800_000_017_000, "day", "Fri 15 Jan"),
    ],
)
def test_values_are_said_with_their_units(value: Any, unit: Any, text: str):
    assert words.said(value, unit, "Asia/Kolkata") == text


def test_a_range_and_a_zone_are_said():
    start, end = NOW_MS - 3600_000, NOW_MS + MINUTE_MS
    assert words.span(start, end, "UTC", NOW_MS) == "07:00 to now"
    assert words.span(start - 86_400_000, end, "UTC", NOW_MS) == "14 Jan 2027 07:00 to now"
    assert words.span(start, start + 60_000, "UTC", NOW_MS) == "07:00 to 07:01"
    assert words.offset(NOW_MS, "America/St_Johns") == "UTC\N{MINUS SIGN}3:30"
    assert words.offset(NOW_MS, "UTC") == "UTC+0"


def test_figures_have_their_change_and_note():
    row = (1200, 0.5, 800, None, 0.01, 0.0, 0.02, -0.5, 60, 3, 1300, 12, 16, 0.046)
    assert told(figures(network.KEY_FIGURES, [row], VIEW)).startswith(
        "Impressions|1,200|\N{BLACK UP-POINTING TRIANGLE}| +50.0%| on the period before|valid, of 1,300 requests"
        "|Unique IPs|800|nothing to compare with|distinct over the whole range"
    )
    assert "3| (worth a look)" in told(figures(network.KEY_FIGURES, [row], VIEW))
    assert "(worth" not in told(figures(network.KEY_FIGURES, zeros(network.KEY_FIGURES), VIEW))


def test_figures_of_several_rows_name_theirs():
    rows = [("EUR", 36.5, 2.0, 30, 10), ("USD", 4, None, 0, 0)]
    assert told(figures(money.SPEND, rows, VIEW)) == (
        "Spend, EUR|36.50|▲| +200.0%| on the period before"
        "|30.00 on days that are over, 10.00 before them"
        "|Spend, USD|4.00|nothing to compare with|0.00 on days that are over, 0.00 before them"
    )


def test_a_table_leads_on_with_the_names_before():
    rows = [("acme", "spring", "a", "news", 10, 8, 1.25, 1, 0.1), ("acme", "spring", "", "", 5, 5, 1.0, 0, None)]
    shown = table(campaign.UNITS, rows, VIEW)
    assert told(shown).split("|")[:2] == ["Ad unit", "Impressions"]
    assert "acme| / |spring| / |a| / |news|10|8|1.25|1|10.00%" in told(shown)
    assert "acme| / |spring|5|5|1.00|0|\N{EN DASH}" in told(shown)
    assert hrefs(shown)[:3] == [
        "/campaign?range=7d&advertiser=acme",
        "/campaign?range=7d&advertiser=acme&campaign=spring",
        "/campaign?range=7d&advertiser=acme&campaign=spring&creative=a",
    ]
    many = table(campaign.UNITS, rows * MOST_ROWS, VIEW)
    assert told(many).endswith(f"The first {MOST_ROWS} of {2 * MOST_ROWS} rows.")


def test_texts_of_a_table_are_texts():
    evil = "<script>alert(1)</script>"
    shown = table(pipeline.LETTERS, [("name", 1, NOW_MS, "spool a@1", evil)], VIEW)
    assert evil in told(shown)
    assert told(table(mail.COMPLETED, [(evil, "a", "b", None, None, NOW_MS, 1)], VIEW)).count(evil) == 1


def test_a_funnel_tells_shares_of_the_step_before():
    text = told(funnel(campaign.FUNNEL, [("Seen", 200), ("Clicked", 10), ("Converted", 0)], VIEW))
    assert "Clicked|10|5.00% of seen|Converted|0|0.00% of clicked" in text
    assert "Clicked|0|Converted|0" in told(
        funnel(campaign.FUNNEL, [("Seen", 0), ("Clicked", 0), ("Converted", 0)], VIEW)
    )


def test_every_weekday_and_hour_has_its_shade():
    cells = told(heat(campaign.WEEK, [("Wed", *range(24))], VIEW)).split("|")
    assert cells.count("Wed") == 1
    assert {"Mon", "Sun"} <= set(cells)
    assert len(cells) == 25 + 7 * 25


def snapshot(panel: Panel, rows: list[Any], minutes: int = 15) -> Snapshot:
    window = Window(NOW_MS // 1000 - minutes * 60, NOW_MS // 1000 + 60, 60)
    return Snapshot(window, asked=NOW_MS + 30_000, newest=NOW_MS + 29_000, rows={panel.id: rows}, whole=True)


def test_a_moment_that_fills_is_drawn_apart():
    rows = [(NOW_MS + at * MINUTE_MS, 10 + at, 5) for at in (-2, -1, 0)]
    newest, chart = series(network.REACH, snapshot(network.REACH, rows), VIEW, "light", True)
    full, filling, *_ = chart.figure["data"]
    # 08:00 in London is half past one in India.
    assert full["x"] == ["2027-01-15T13:28:00", "2027-01-15T13:29:00"]
    assert filling["x"] == ["2027-01-15T13:30:00"]
    assert told(newest).startswith("Impressions |9|")
    assert "at 13:29" in told(newest)


def test_parts_are_stacked_the_largest_first_and_the_many_small_together():
    rows = [(NOW_MS - at * MINUTE_MS, f"reason {at}", 100 - at) for at in range(10)]
    sums, chart = series(invalid.REASONS_OVER_TIME, snapshot(invalid.REASONS_OVER_TIME, rows), VIEW, "dark", False)
    figure = chart.figure
    assert [told(key).split("|")[0] for key in sums.children] == [
        *(f"reason {at} " for at in range(7)),
        "others ",
    ]
    assert all(len(trace["x"]) == 16 for trace in figure["data"])
    assert sum(sum(trace["y"]) for trace in figure["data"]) == sum(row[2] for row in rows)
    assert len({trace["fillcolor"] for trace in figure["data"]}) == 8
    assert figure["layout"]["dragmode"] is False


@pytest.mark.parametrize("scheme", COLOURS)
def test_charts_have_the_style_sheets_colours(scheme: Any):
    light, dark = re.findall(r"^ *:root \{(.*?)\}", (ASSETS / "live.css").read_text(), re.DOTALL | re.MULTILINE)
    variables = dict(re.findall(r"--([\w-]+): (#\w+);", {"light": light, "dark": dark}[scheme]))
    colours = COLOURS[scheme]
    assert colours.series[:2] == (variables["accent"], variables["second"])
    assert (colours.ink, colours.quiet, colours.line, colours.surface) == tuple(
        variables[name] for name in ("ink", "quiet", "line", "surface")
    )


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", COLOURS)
def test_lines_can_be_told_from_the_paper(scheme: Any):
    colours = COLOURS[scheme]
    for line in colours.series:
        high, low = sorted((luminance(line), luminance(colours.surface)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3, line


def test_the_map_shades_the_countries_that_have_numbers():
    listed, chart = world(campaign.COUNTRIES, [("DE", 900), ("SG", 9), ("GF", 1)], VIEW, "light")
    (trace,) = chart.figure["data"]
    shades = dict(zip(trace["locations"], trace["z"], strict=True))
    assert shades["DE"] == 1
    assert 0 < shades["SG"] < shades["DE"]
    assert shades["FR"] == 0
    assert "Germany|900|Singapore|9|GF|1" in told(listed)
    assert "Germany <b>900</b>" in trace["text"]
    assert len(names()) > 230


def test_plotlys_part_is_of_the_version_that_dash_brings():
    def version(script: Path) -> str:
        return re.findall(r"plotly\.js (?:\(geo - minified\) )?v([\d.]+)", script.read_text()[:200])[0]

    whole = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    assert version(ASSETS / "vendored" / "plotly-geo.min.js") == version(whole)


@pytest.mark.parametrize("each", BOARDS, ids=lambda board: board.uid)
def test_a_board_stands_before_its_numbers_do(each: Any):
    stands = markup(board(View(each)))
    places = set(re.findall(r'id="([\w-]+)"', stands))
    for panel in each.panels:
        assert f">{panel.title}</h2>" in stands
    waiting = numbers(View(each), None, Browser.of(None), SETTINGS)
    assert waiting["html"].keys() <= places
    assert sum("Reading…" in html for html in waiting["html"].values()) == len(each.places)
    window = Window(NOW_MS // 1000 - 900, NOW_MS // 1000 + 60, 60)
    known = Snapshot(window, asked=NOW_MS, rows={panel.id: [] for panel in each.panels}, whole=False)
    answered = numbers(View(each), known, Browser.of(None), SETTINGS)
    for panel in each.panels:
        assert markup(panel.nothing or "Nothing in the last 1 h.") in answered["html"][f"in-{panel.id}"]


def test_what_comes_from_outside_is_a_text():
    evil = '<img src=x onerror="alert(1)">'
    rows: dict[Any, Any] = {
        pipeline.LETTERS: [("name", 1, NOW_MS, evil, evil)],
        pipeline.SPOOLS: [(evil, 5, NOW_MS, 3.0)],
        invalid.PROVIDERS: [(evil, "1", 9, 9, 1.0, 0, 1, 0, None)],
        campaign.PROVIDERS: [(evil, 9)],
        campaign.COUNTRIES: [(evil, 9)],
        invalid.REASONS_OVER_TIME: [(NOW_MS, evil, 3)],
    }
    for panel, some in rows.items():
        view = View(next(each for each in BOARDS if panel in each.panels))
        shown = snapshot(panel, some)
        made = numbers(view, replace(shown, whole=False), Browser.of(None), SETTINGS)["html"][f"in-{panel.id}"]
        assert "<img" not in made
        assert "&lt;img src=x" in made


def test_markup_is_what_the_components_stand_for():
    part = html.Td(["a & b", html.Br(), None, 3], className="x", tabIndex=0, style={"--share": "0.5"}, title='"')
    assert markup(part) == '<td class="x" style="--share:0.5" tabindex="0" title="&#34;">a &amp; b<br>3</td>'


def test_nothing_is_said_to_be_nothing():
    empty = Snapshot(Window(0, 60, 60), asked=NOW_MS, rows={panel.id: zeros(panel) for panel in campaign.BOARD.panels})
    assert not has_numbers(VIEW, empty)
    some = Snapshot(Window(0, 60, 60), rows=empty.rows | {campaign.DEVICES.id: [("phone", 1)]})
    assert has_numbers(VIEW, some)


@pytest.mark.parametrize(
    ("newest_s", "asked_s", "error", "state", "said"),
    [
        (3, 1, "", "fresh", "Newest hit counted 3 s ago"),
        (40, 1, "", "stale", "Newest hit counted 40 s ago: no traffic, or the pipeline lags"),
        (None, 1, "", "idle", "Waiting for a hit"),
        (3, 30, "", "idle", "Numbers are from 13:29:30"),
        (3, 1, "ClickHouse is away.", "away", "ClickHouse is away. Numbers are from 13:29:59. Trying again."),
    ],
)
def test_how_far_the_page_can_be_believed(newest_s: Any, asked_s: int, error: str, state: str, said: str):
    newest = None if newest_s is None else NOW_MS - newest_s * 1000
    shown = Snapshot(Window(0, 60, 60), NOW_MS - asked_s * 1000, newest, error=error)
    assert freshness(VIEW, shown, NOW_MS) == (state, said)


def test_whatever_a_browser_says_is_a_browser():
    assert Browser.of({"zone": 3, "scheme": "<", "drag": "yes"}) == Browser("3", "light", False)
    assert Browser.of([]) == Browser("None", "light", False)
