"""What a panel is: one question, and the shape of its answer. The live page and Grafana's boards are made of them."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["count", "number", "ratio", "time", "day", "seconds", "per_second", "text"]
Picture = Literal["stat", "series", "bars", "table", "map"]


@dataclass(frozen=True)
class Column:
    """A column of a panel's answer."""

    name: str
    title: str
    unit: Unit = "count"
    note: str = ""  #: said under a key figure; `{column}` stands for that column's value
    shown: bool = True  #: else it is there for notes only
    warn: float | None = None  #: from here on it is worth a look
    alarm: float | None = None  #: from here on something is wrong
    link: str = ""  #: uid of the board that a click on the value leads to
    shaded: bool = False  #: in a table: the larger, the darker


@dataclass(frozen=True)
class Panel:
    """One question and the shape of its answer.

    A `stat` answers one row, each column a key figure; a `series` moments first, then numbers; `bars` and a `table`
    ranked rows, their names first; a `map` one row a country (ISO 3166-1 alpha-2), the number last.
    """

    id: str
    title: str
    description: str
    picture: Picture
    columns: tuple[Column, ...]
    sql: str
