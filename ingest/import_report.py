"""What an import did, for people."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from tqdm import tqdm

from ingest.importing import Bar, Tally
from ingest.restoring import Restored


def bar(what: str, total: int, unit: str) -> AbstractContextManager[Bar]:
    """Shows on a terminal how far something is, how fast, and how long it will take."""
    return tqdm(total=total, unit=unit, unit_scale=True, desc=what, leave=False, disable=None)


def of_log(tally: Tally) -> str:
    """What a log held."""
    lines = [f"{tally.name}: {tally.lines:,} lines", f"  {tally.hits:>12,} hits"]
    lines += [f"  {count:>12,} {left.kind}: {left.why}" for left, count in tally.left.most_common()]
    lines += [f"  line {number:,}: {why}: {_printable(line)}" for number, why, line in tally.shown]
    return "".join(f"{line}\n" for line in lines)


def of_all(sent: int, there: int | None) -> str:
    """What became of so many hits; `there`: those that are in ClickHouse, None where nobody waited."""
    if there is None:
        return f"{sent:,} hits are in Kafka, or were counted before\n"
    if there < sent:
        return (
            f"{there:,} of {sent:,} hits are in ClickHouse, the rest is in Kafka:"
            " see that streams and sink run, and run it again\n"
        )
    return f"{sent:,} hits are in ClickHouse\n"


def exit_code(tallies: Sequence[Tally], sent: int, there: int | None) -> int:
    """1 where something that should be counted is not."""
    missing = there is not None and there < sent
    return int(missing or any(left.kind != "other" for tally in tallies for left in tally.left))


def _printable(text: str) -> str:
    """What a terminal shows and doesn't obey."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def of_restored(restored: Restored) -> str:
    """What a restore did."""
    lines = [
        f"{restored.hits:,} hits sent ({restored.unordered:,} of them without an archived order),"
        f" {restored.there:,} are in ClickHouse",
        f"{restored.letters:,} requests that can't be counted are dead letters again",
    ]
    if restored.gone:
        lines.append(f"{restored.gone:,} hits were counted whose requests are not in the archive, or have expired")
    if restored.otherwise:
        lines.append(f"{restored.otherwise:,} requests that were counted can't be by today's settings")
    if restored.skipped > 0:
        lines.append(f"{restored.skipped:,} requests stand before counted ones and in no archived order: left out")
    if restored.there < restored.hits:
        lines.append("Not all are there: streams count a node's hits once, so begin with an empty Kafka.")
    return "".join(f"{line}\n" for line in lines)


def exit_code_of_restored(restored: Restored) -> int:
    """1 where something is missing."""
    missing = restored.there < restored.hits or restored.skipped > 0
    return int(missing or restored.gone > 0 or restored.otherwise > 0)
