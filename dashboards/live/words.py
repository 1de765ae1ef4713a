"""Numbers and moments as people read them."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dashboards.panel import Unit

#: What stands for a value that isn't known.
NOTHING = "\N{EN DASH}"

_SECONDS = ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172_800.0, 3600.0, "h"), (float("inf"), 86_400.0, "d"))


def said(value: Any, unit: Unit, zone: str) -> str:
    """A value of a panel's answer; moments, in epoch milliseconds, as the clock of `zone` shows them."""
    if value is None or value == "":
        return NOTHING
    match unit:
        case "text":
            return str(value)
        case "time":
            return at(value, zone).strftime("%d %b %H:%M:%S").lstrip("0")
        case "day":
            return at(value, zone).strftime("%a %d %b")
    return number(value, unit)


def number(value: Any, unit: Unit) -> str:
    """A number with its unit."""
    match unit:
        case "ratio":
            return f"{value:.2%}"
        case "change":
            return f"{value:+.1%}".replace("-", "\N{MINUS SIGN}")
        case "number":
            return f"{value:,.2f}"
        case "per_second":
            return f"{value:,.1f}/s"
        case "seconds":
            return duration(value)
    return f"{round(value):,}"


def duration(seconds: float) -> str:
    """So many seconds, in the unit that suits them."""
    size, unit = next((size, unit) for most, size, unit in _SECONDS if seconds < most)
    return f"{seconds / size:.1f} {unit}" if seconds < 10 else f"{seconds / size:,.0f} {unit}"


def at(moment_ms: int, zone: str) -> datetime:
    """A moment by the clock of a zone."""
    return datetime.fromtimestamp(moment_ms / 1000, ZoneInfo(zone))


def wall(moment_ms: int, zone: str) -> str:
    """A moment by the clock of a zone as Plotly reads it: it knows no zones."""
    return at(moment_ms, zone).strftime("%Y-%m-%dT%H:%M:%S")


def span(start_ms: int, end_ms: int, zone: str, now_ms: int) -> str:
    """A range in words: `18:23 to now`, `24 Nov 18:23 to 25 Nov 09:00`."""
    start, end, now = (at(each, zone) for each in (start_ms, end_ms, now_ms))
    is_today = start.date() == now.date()
    first = f"{start:%H:%M}" if is_today else f"{start:%d %b %Y %H:%M}"
    if end >= now:
        return f"{first} to now"
    return f"{first} to {end:%H:%M}" if end.date() == start.date() else f"{first} to {end:%d %b %Y %H:%M}"


def offset(moment_ms: int, zone: str) -> str:
    """How far a zone's clock is from UTC: `UTC+5:30`."""
    ahead = at(moment_ms, zone).utcoffset() or timedelta()
    minutes = abs(ahead) // timedelta(minutes=1)
    sign = "\N{MINUS SIGN}" if ahead < timedelta() else "+"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")
