"""Stops a worker that is fed something else than hits: then what writes there is wrong, and not single lines."""

from pixeltally import topics

#: Judged are so many lines at a time.
LINES = 10_000


class Poisoned(RuntimeError):
    """Too much of what was read is no hits."""


class Poison:
    """Keeps account of the lines that this process has read."""

    def __init__(self, most_percent: int) -> None:
        self._most_percent = most_percent
        self._lines = self._dead = 0

    def note(self, lines: int, dead: int) -> None:
        """Note a message of so many lines, of which so many are no hits. Raises :class:`Poisoned`."""
        self._lines += lines
        self._dead += dead
        if self._lines < LINES:
            return
        lines, dead, self._lines, self._dead = self._lines, self._dead, 0, 0
        if dead * 100 > lines * self._most_percent:
            raise Poisoned(
                f"{dead:,} of {lines:,} lines in {topics.HITS} are no hits, more than PIXELTALLY_MAX_DEAD_PERCENT"
                f"={self._most_percent} allows: look at them with `pixeltally dead list`; set it to 100 to go on"
            )
