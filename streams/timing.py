"""Clicks that come sooner than anybody can see an ad, decide and press.

Rule: IAB/MRC Click Measurement Guidelines (2009), invalid clicks. The limit is that of World Athletics for a false
start (Technical Rule 16.6): who reacts within a tenth of a second did not react. People reach an ad far later.

Many may share an address, and a visitor's newest impression need not be the clicker's. So a click is judged by the
first impression of its ad unit and visitor that is remembered: only where there was none before it, it is impossible.
"""

REASON = "click-timing"

#: The shortest time from an impression's answer to a click on it.
SOONEST_MS = 100


def too_soon(click_ms: int, first_ms: int) -> bool:
    """Whether a click that follows an impression came too soon; `first_ms` is the time of the first remembered."""
    return click_ms - first_ms < SOONEST_MS
