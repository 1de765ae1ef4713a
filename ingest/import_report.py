"""What an import did, for people."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from tqdm import tqdm

from ingest.importing import Bar, Tally


def bar(what: str, total: int, unit: str) -> AbstractContextManager[Bar]:
    """Shows on a terminal how far something is, how fast, and how long it will take."""
    return tqdm(total=total, unit=unit, unit_scale=True, desc=what, leave=False, disable=None)


def of_log(tally: Tally) -> str:
    """What a log held."""
    lines = [f"{tally.name}: {tally.lines:,} lines", f"  {tally.hits:>12,} hits"]
    lines += [f"  {count:>12,} {left.kind}: {left.why}" for left, count in tally.left.most_common()]
    lines += [f"  line {number:,}: {why}: {line}" for number, why, line in tally.shown]
    return "".join(f"{line}\n" for line in lines)


def of_all(tallies: Sequence[Tally], there: int | None) -> str:
    """What became of them; `there`: hits that are in ClickHouse, None where nobody waited."""
    hits = sum(tally.hits for tally in tallies)
    if there is None:
        return f"{hits:,} hits are in Kafka\n"
    if there < hits:
        return f"{there:,} of {hits:,} hits are in ClickHouse: see that streams and sink run; the rest is in Kafka\n"
    return f"{hits:,} hits are in ClickHouse\n"


def exit_code(tallies: Sequence[Tally], there: int | None) -> int:
    """1 where something that should be counted is not."""
    missing = there is not None and there < sum(tally.hits for tally in tallies)
    return int(missing or any(left.kind != "other" for tally in tallies for left in tally.left))
