"""Where a tally stands after a message, and the settings that it counts by."""

from dataclasses import dataclass

import msgspec

from pixeltally.settings import Settings
from streams.redelivery import Node
from streams.window import AHEAD_MS, MINUTE_MS


@dataclass(frozen=True)
class Rules:
    """The settings that counts depend on, in milliseconds."""

    duplicate_window_ms: int
    attribution_window_ms: int
    lateness_ms: int
    advertisers: frozenset[str] = frozenset()  #: whose ad units are counted; none named: everybody's
    max_units: int = 1_000_000  #: ad units counted at a time

    @property
    def memory_ms(self) -> int:
        """Requests are judged against those that arrived in the same span of this length, or the one before."""
        return max(self.duplicate_window_ms, self.attribution_window_ms, MINUTE_MS)

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """The rules that the settings ask for."""
        return cls(
            settings.duplicate_window_s * 1000,
            settings.attribution_window_s * 1000,
            settings.lateness_s * 1000,
            frozenset(settings.advertisers),
            settings.max_units,
        )


class Head(msgspec.Struct):
    """Where a tally stands after a message: it rides on that message's facts."""

    offset: int  #: of the last message applied
    arrived: int  #: when the broker took that message, epoch milliseconds
    watermark: int  #: newest hit time that is not ahead of the broker's clock, epoch milliseconds
    nodes: dict[str, Node] = {}  #: what was seen of the message's; of all, in the first message of a memory's span
    told_offset: int = -1  #: the rows of messages up to this one have been told
    told_watermark: int = 0  #: the watermark at that message
    corrections: int = 0  #: how many of the message's facts, the last, are of earlier messages
    ahead: bool = False  #: these are all it holds, and some of the next message's: more than that may hold
    base: int = 0  #: what versions of facts have over offsets: in a partition that others' visitors moved to
    partitions: int = 0  #: how many the topic had
    grown_from: int = 0  #: how many it had before; 0: as many

    @property
    def message(self) -> int:
        """The offset of the message of hits that what the head rides on came of."""
        return self.offset + self.ahead

    def memory_start_ms(self, rules: Rules) -> int:
        """No fact that the broker took before this matters to the messages that follow."""
        remembered = (self.arrived // rules.memory_ms - 1) * rules.memory_ms
        rated = (self.arrived // MINUTE_MS - 1) * MINUTE_MS
        untold = self.told_watermark - rules.lateness_ms - 2 * MINUTE_MS - AHEAD_MS
        return min(remembered, rated, untold)
