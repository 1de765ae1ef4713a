"""Sentences that stand below reports and bills."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ledger.provenance import Provenance


def days_of(zones: Iterable[tuple[str, str]]) -> str:
    """Whose days are counted, of (time zone, campaign): `days of UTC`, `days of Europe/Berlin (spring); UTC (mail)`."""
    campaigns: dict[str, set[str]] = defaultdict(set)
    for zone, campaign in zones:
        campaigns[zone].add(campaign)
    if len(campaigns) == 1:
        return f"days of {next(iter(campaigns))}"
    return "days of " + "; ".join(f"{zone} ({', '.join(sorted(names))})" for zone, names in sorted(campaigns.items()))


def of(known: Provenance) -> Iterator[str]:
    """What was erased, and by which rules and lists was judged."""
    if known.erased_hits:
        yield (
            f"{known.erased_hits:,} hits of these months were made nobody's on request; they stay counted, so all"
            " numbers are what they were"
        )
    for version in known.rules_versions:
        yield f"rules and lists: {version}"
