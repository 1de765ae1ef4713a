"""A message's hits, column by column: entry `n` of each is of hit `n`."""

from collections.abc import Sequence
from dataclasses import dataclass

from pixeltally.hit import IMAGE_KINDS, NOBODY, Hit


@dataclass(frozen=True)
class Columns:
    """What every hit has."""

    hits: Sequence[Hit]
    times: list[int]
    units: list[int]  #: number of the ad unit; `registry.NOT_COUNTED` where it is not counted
    pixels: list[int | None]  #: (ad unit, visitor); None for what is like no other
    actions: list[int]  #: which ones are clicks and conversions, by index

    @classmethod
    def of(cls, hits: Sequence[Hit], units: list[int]) -> "Columns":
        """The columns of hits with these units."""
        return cls(
            hits,
            [hit.ts for hit in hits],
            units,
            [
                unit << 64 | hit.visitor if unit and hit.visitor != NOBODY else None
                for hit, unit in zip(hits, units, strict=True)
            ],
            [index for index, hit in enumerate(hits) if hit.kind not in IMAGE_KINDS],
        )

    @property
    def images(self) -> list[int | None]:
        """The pixels of image requests; None for others."""
        images = self.pixels.copy()
        for index in self.actions:
            images[index] = None
        return images
