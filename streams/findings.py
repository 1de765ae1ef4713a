"""What was found of a message's hits, column by column: entry `n` of each is of hit `n`."""

from dataclasses import dataclass

from streams.trail import Leader


@dataclass(frozen=True)
class Findings:
    """The columns."""

    units: list[int | None]  #: number of the ad unit, where it is counted
    verdicts: list[str]
    duplicates: list[bool]
    leaders: dict[int, Leader]  #: whom it follows, of those that follow one
