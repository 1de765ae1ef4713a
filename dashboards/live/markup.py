"""Dash's HTML components as the HTML that they stand for.

Dash builds anew whatever `children` it is given, and so takes away what is focused, selected or scrolled in them. A
panel's content goes to the browser as text instead, and `live.js` changes only what differs.
"""

from typing import Any

from dash.development.base_component import Component
from markupsafe import escape

_NAMES = {"className": "class", "htmlFor": "for", "tabIndex": "tabindex", "colSpan": "colspan"}
_EMPTY = frozenset({"br", "hr", "img"})


def markup(part: Any) -> str:
    """HTML of a component, a text, or a list of both; texts and values are escaped."""
    if part is None:
        return ""
    if isinstance(part, list | tuple):
        return "".join(map(markup, part))
    if not isinstance(part, Component):
        return str(escape(part))
    props: dict[str, Any] = dict(part.to_plotly_json()["props"])  # type: ignore[no-untyped-call]
    content = props.pop("children", None)
    tag = type(part).__name__.lower()
    attributes = "".join(f' {_NAMES.get(name, name)}="{escape(_text(value))}"' for name, value in props.items())
    return f"<{tag}{attributes}>" if tag in _EMPTY else f"<{tag}{attributes}>{markup(content)}</{tag}>"


def _text(value: Any) -> str:
    if isinstance(value, dict):  # a style
        return ";".join(f"{name}:{text}" for name, text in value.items())
    return str(value)
