"""The colours of charts: those of the style sheet, which Plotly can't read."""

from dataclasses import dataclass
from typing import Literal

Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Colours:
    """A scheme's colours. The first of `series` is the accent."""

    ink: str
    quiet: str
    line: str
    surface: str
    series: tuple[str, ...]

    def wash(self, colour: str, percent: int = 13) -> str:
        """A colour, thin."""
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        return f"rgba({red},{green},{blue},{percent / 100})"


COLOURS: dict[Scheme, Colours] = {
    "light": Colours(
        ink="#1b1e20",
        quiet="#5d6469",
        line="#e3e4e1",
        surface="#ffffff",
        series=("#0b736b", "#7a838a", "#b3541e", "#5b5fc7", "#a3281c", "#8a6d00", "#2f7fb5", "#8d4a9e"),
    ),
    "dark": Colours(
        ink="#e7e9ea",
        quiet="#9aa3a9",
        line="#2c3134",
        surface="#1a1d1f",
        series=("#45c4b4", "#8b959c", "#f0965b", "#a3a6ff", "#ff8a7d", "#d9b834", "#6cb8ea", "#d596e6"),
    ),
}
