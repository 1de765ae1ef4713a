"""A board as Grafana's JSON: classic dashboards, schema 42, queries of the plugin grafana-clickhouse-datasource."""

from typing import Any, cast

from dashboards.boards.board import SCOPES, Annotation, Board, Place, Scope, choices
from dashboards.panel import Column, Panel

Json = dict[str, Any]

SCHEMA = 42
PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.22.1"
#: The same in every organisation, so that boards need no change.
SOURCE_UID = "pixeltally"
SOURCE = {"type": PLUGIN, "uid": SOURCE_UID}
FOLDER = "Pixeltally"
FOLDER_UID = "pixeltally"
TAG = "pixeltally"

WIDTH = 24

#: The plugin's `format`, a number: what a query's answer becomes.
TIME_SERIES, TABLE = 0, 1

UNITS = {
    "count": "locale",
    "number": "none",
    "ratio": "percentunit",
    "change": "percentunit",
    "time": "dateTimeAsLocal",
    "day": "dateTimeAsLocal",
    "seconds": "s",
    "per_second": "cps",
    "text": "string",
}
_DECIMALS = {"count": 0, "number": 2, "ratio": 2, "change": 1, "per_second": 1}
_TYPES = {
    "stat": "stat",
    "series": "timeseries",
    "bars": "barchart",
    "funnel": "barchart",
    "table": "table",
    "heat": "table",
    "map": "geomap",
}


def dashboard(board: Board, advertiser: str = "") -> Json:
    """The board's JSON; fixed to one advertiser where one is named."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": [TAG],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "weekStart": "monday",
        "fiscalYearStartMonth": 0,
        "refresh": board.refresh,
        "time": {"from": board.since, "to": "now"},
        "timepicker": {},
        "links": [_boards_link()],
        "templating": {"list": [variable(board.scope, place, advertiser) for place in range(len(board.scope))]},
        "annotations": {"list": [_built_in(), *map(_annotation, board.marks(advertiser))]},
        "panels": _panels(board.places),
    }


def target(sql: str, format: int, ref: str = "A") -> Json:
    """A query of the plugin."""
    return {
        "refId": ref,
        "datasource": SOURCE,
        "editorType": "sql",
        "queryType": "timeseries" if format == TIME_SERIES else "table",
        "format": format,
        "rawSql": sql.strip(),
        "pluginVersion": PLUGIN_VERSION,
    }


def variable(scope: tuple[Scope, ...], place: int, advertiser: str) -> Json:
    """What is chosen at `place` of the scope, among what the choices before it leave."""
    name = scope[place]
    if name == "advertiser" and advertiser:
        chosen = {"text": advertiser, "value": advertiser, "selected": True}
        return {
            "name": name,
            "type": "constant",
            "hide": 2,
            "query": advertiser,
            "current": chosen,
            "skipUrlSync": True,
        }
    sql = choices(scope, place)
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": sql,
        "definition": sql,
        "refresh": 2,  # when the range changes
        "sort": 0,
        "multi": True,
        "includeAll": True,
        "allValue": name,  # Grafana puts it in unquoted: `advertiser IN (advertiser)`
        "current": {"text": ["All"], "value": ["$__all"], "selected": True},
        "options": [],
        "hide": 0,
    }


def _boards_link() -> Json:
    return {
        "title": "Boards",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _built_in() -> Json:
    return {
        "builtIn": 1,
        "name": "Annotations & Alerts",
        "type": "dashboard",
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
    }


def _annotation(annotation: Annotation) -> Json:
    return {
        "name": annotation.name,
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "orange",
        "target": target(annotation.sql, TABLE, "Anno"),
    }


def _panels(places: tuple[Place, ...]) -> list[Json]:
    """Panels in reading order, a row as high as its highest."""
    made: list[Json] = []
    x = y = row_height = 0
    for number, place in enumerate(places, start=1):
        if x + place.width > WIDTH:
            x, y, row_height = 0, y + row_height, 0
        grid = {"x": x, "y": y, "w": place.width, "h": place.height}
        made.append(panel(place.panel, number) | {"gridPos": grid})
        x, row_height = x + place.width, max(row_height, place.height)
    return made


def panel(panel: Panel, number: int) -> Json:
    """A panel without its place."""
    format = TIME_SERIES if panel.picture == "series" else TABLE
    made = {
        "id": number,
        "type": _TYPES[panel.picture],
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": [target(panel.sql, format)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": [_override(panel, each) for each in panel.columns]},
        "options": _options(panel),
    }
    return made | ({"interval": "1m", "maxDataPoints": 300} if panel.picture == "series" else {})


def _numbers(panel: Panel) -> list[Column]:
    return [each for each in panel.shown if each.unit not in ("text", "time", "day")]


def _defaults(panel: Panel) -> Json:
    """What holds for a column that no override names: a series by text has its texts' names."""
    made: Json = {"noValue": "\N{EN DASH}", "color": {"mode": "palette-classic"}, "custom": {}}
    if panel.picture == "stat":
        made |= {"color": {"mode": "thresholds"}, "thresholds": _thresholds(None, None)}
    if panel.picture in ("series", "bars", "funnel"):
        unit = _numbers(panel)[0].unit
        made |= {"unit": UNITS[unit], "min": 0, "custom": {"fillOpacity": 70, "lineWidth": 1}}
    if panel.picture == "series":
        split = any(each.unit == "text" for each in panel.columns)
        drawn = {"drawStyle": "bars", "stacking": {"mode": "normal", "group": "A"}} if split else {"drawStyle": "line"}
        made["custom"] |= drawn | {"showPoints": "auto", "spanNulls": False, "fillOpacity": 70 if split else 10}
    return made


def _override(panel: Panel, column: Column) -> Json:
    """How one column is named, counted and coloured."""
    properties: list[Json] = [{"id": "displayName", "value": column.title}]
    made_of_cells = _TYPES[panel.picture] == "table"
    if column.unit != "text" and column.name != "time":
        properties.append({"id": "unit", "value": UNITS[column.unit]})
    if column.unit in _DECIMALS:
        properties.append({"id": "decimals", "value": _DECIMALS[column.unit]})
    if column.warn is not None or column.alarm is not None:
        properties.append({"id": "thresholds", "value": _thresholds(column.warn, column.alarm)})
        if made_of_cells:
            properties.append({"id": "color", "value": {"mode": "thresholds"}})
            properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    if column.shaded:
        properties.append({"id": "color", "value": {"mode": "continuous-blues"}})
        properties.append({"id": "custom.cellOptions", "value": {"type": "color-background", "mode": "gradient"}})
    if panel.picture == "series" and column.unit != _numbers(panel)[0].unit and column in _numbers(panel):
        properties.append({"id": "custom.axisPlacement", "value": "right"})
    if not column.shown and made_of_cells:
        properties.append({"id": "custom.hidden", "value": True})
    if column.link:
        properties.append({"id": "links", "value": [_link(panel, column)]})
    return {"matcher": {"id": "byName", "options": column.name}, "properties": properties}


def _thresholds(warn: float | None, alarm: float | None) -> Json:
    steps: list[Json] = [{"color": "text" if warn is None else "green", "value": None}]
    steps += [{"color": "orange", "value": warn}] if warn is not None else []
    steps += [{"color": "red", "value": alarm}] if alarm is not None else []
    return {"mode": "absolute", "steps": steps}


def _link(panel: Panel, column: Column) -> Json:
    """To the board of the column's value, in the same range: the names before it choose, too."""
    titles = {each.name: each.title for each in panel.columns}
    chosen = [part for part in SCOPES[: SCOPES.index(cast(Scope, column.name)) + 1] if part in titles]
    choices = "&".join(f'var-{part}=${{__data.fields["{titles[part]}"]}}' for part in chosen)
    return {"title": f"Show this {column.name}", "url": f"/d/{column.link}?{choices}&${{__url_time_range}}"}


def _options(panel: Panel) -> Json:
    shown = panel.shown
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    if panel.picture == "stat":
        names = "|".join(each.title for each in shown[panel.is_by_text :])
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": f"/^({names})$/", "values": panel.is_by_text},
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "value_and_name" if len(shown) > 1 else "value",
            "wideLayout": True,
        }
    if panel.picture == "series":
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.picture in ("bars", "funnel"):
        return {
            "xField": shown[0].title,
            "orientation": "horizontal",
            "showValue": "auto",
            "stacking": "none",
            "legend": legend | {"showLegend": False},
            "tooltip": {"mode": "single", "sort": "none"},
        }
    if panel.picture == "map":
        return _map_options(shown)
    return {"showHeader": True, "cellHeight": "sm"}


def _map_options(shown: tuple[Column, ...]) -> Json:
    place, number = shown[0].title, shown[-1].title
    size = {"field": number, "min": 3, "max": 24}
    return {
        "view": {"id": "zero", "lat": 20, "lon": 0, "zoom": 1, "allLayers": True},
        "basemap": {"type": "default", "name": "Layer 0", "config": {}},
        "layers": [
            {
                "type": "markers",
                "name": number,
                "tooltip": True,
                "location": {"mode": "lookup", "lookup": place, "gazetteer": "public/gazetteer/countries.json"},
                "config": {"showLegend": False, "style": {"size": size, "color": {"fixed": "blue"}, "opacity": 0.5}},
            }
        ],
        "controls": {"showZoom": True, "mouseWheelZoom": False, "showAttribution": True},
        "tooltip": {"mode": "details"},
    }
