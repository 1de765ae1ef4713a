"""What a panel is: one question, and the shape of its answer. Grafana's boards and the live page are made of them."""

from dataclasses import dataclass
from typing import Literal

#: `change` is a ratio against the period before; in a stat it belongs to the figure before it.
Unit = Literal["count", "number", "ratio", "change", "time", "day", "seconds", "per_second", "text"]
Picture = Literal["stat", "series", "bars", "funnel", "table", "heat", "map"]


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

    A `stat` answers one row, each column a key figure, or, where a text comes first, a row for each text; a `series`
    moments first, then numbers (or a text and a number, stacked); `bars` and a `table` ranked rows, their names first;
    a `funnel` steps, each a part of the one before; a `heat` rows of numbers that shade; a `map` one row a country
    (ISO 3166-1 alpha-2), the number last.
    """

    id: str
    title: str
    description: str
    picture: Picture
    columns: tuple[Column, ...]
    sql: str
    nothing: str = ""  #: why there may be no rows, and what to do about it
    whole: bool = False  #: of a series: what a moment's row says depends on other moments of the range, too
    seldom: bool = False  #: takes long and moves slowly: the live page reads it once a minute

    @property
    def is_by_text(self) -> bool:
        """Whether a `stat` has a row for each text."""
        return self.picture == "stat" and len(self.shown) > 1 and self.shown[0].unit == "text"

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that are looked at."""
        return tuple(column for column in self.columns if column.shown)
