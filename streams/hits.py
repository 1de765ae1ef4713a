"""What rules see of a message's hits, column by column: place `n` of each is of hit `n`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pixeltally.compiled import Array, compiled
from pixeltally.hit import Hit
from streams import columns
from streams.columns import CLICK, CONVERSION, Lines, id_text
from streams.table import bring_near
from streams.visits import Visits, visit

#: An ad unit's requests for its image, its clicks and its conversions are pixels of their own.
_IMAGES, _CLICKS, _CONVERSIONS = 0, 1, 2


@dataclass(slots=True)
class Hits:
    """The hits of a message, with their ad units."""

    times: Array
    kinds: Array
    visitors: Array  #: bits of the unsigned number; 0 is nobody
    ids: Array  #: two rows: the upper bits, the lower bits
    units: Array  #: number of the ad unit; `registry.NOT_COUNTED` where it is not counted
    campaigns: Array  #: likewise
    pixels: Array  #: the visitor's row for what it asked for; -1 for what is like no other
    actions: Mapping[int, Hit]  #: clicks and conversions, by index
    visits: Visits
    _image_pixels: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: Lines, units: Array, campaigns: Array, visits: Visits) -> "Hits":
        """Hits of these ad units; `visits` has the visitors' rows."""
        table, pixels = lines.columns, np.empty(len(lines), np.int64)
        kinds, visitors = table[columns.KIND], table[columns.VISITOR]
        visits.young.make_room(len(lines))
        young, old = visits.young, visits.old
        _visit_all(visitors, units, kinds, young.slots, young.rows, young.size, old.slots, old.rows, pixels)
        ids = table[columns.ID_HIGH : columns.ID_LOW + 1]
        return cls(table[columns.TIME], kinds, visitors, ids, units, campaigns, pixels, lines.actions, visits)

    def __len__(self) -> int:
        return len(self.times)

    @property
    def images(self) -> Array:
        """The pixels of image requests; -1 for others."""
        if not self.actions:
            return self.pixels
        images = self.pixels.copy()
        images[list(self.actions)] = -1
        return images

    def images_pixel(self, index: int) -> int:
        """The row of the same visitor and ad unit for image requests; hit `index` must be like others."""
        row = self._image_pixels.get(index)
        if row is None:
            target = int(self.units[index]) << 2 | _IMAGES
            row = self._image_pixels[index] = self.visits.enter_one(int(self.visitors[index]), target)
        return row

    def id(self, index: int) -> str:
        """The hit's id."""
        return id_text(self.ids[:, index])


@compiled
def _visit_all(
    visitors: Array, units: Array, kinds: Array,
    slots: Array, rows: Array, size: Array, old_slots: Array, old_rows: Array, out: Array,
) -> None:  # fmt: skip
    for index in range(units.size):
        kind = kinds[index]
        group = _CLICKS if kind == CLICK else (_CONVERSIONS if kind == CONVERSION else _IMAGES)
        out[index] = units[index] << 2 | group if units[index] != 0 else 0
    bring_near(slots, rows, visitors, out)
    bring_near(old_slots, old_rows, visitors, out)
    for index in range(units.size):
        out[index] = visit(slots, rows, size, old_slots, old_rows, visitors[index], out[index])
