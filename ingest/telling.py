"""Dead letters in words, for people and for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ingest.letters import Count, Letter
from ingest.reading import Uncountable
from ingest.replay import Judge, Outcome
from pixeltally.reasons import REASONS

_encode = msgspec.json.Encoder().encode


def table(counts: Sequence[Count]) -> str:
    """What there is, as a table."""
    if not counts:
        return "No dead letters.\n"
    rows = [("reason", "found in", "letters", "put back", "newest (UTC)")]
    rows += [(row.reason, row.found_in, f"{row.letters:,}", f"{row.put_back:,}", _time(row.newest)) for row in counts]
    return "".join(f"{row[0]:<24}{row[1]:<20}{row[2]:>12}{row[3]:>12}  {row[4]}\n" for row in rows)


def json(counts: Sequence[Count]) -> str:
    """The same, a line of JSON a row."""
    return "".join(f"{_encode(row._asdict()).decode()}\n" for row in counts)


def json_line(letter: Letter) -> str:
    """A letter as a line of JSON, to be mended."""
    fields = {name: getattr(letter, name) for name in ("id", "ts", "reason", "origin", "line")}
    return f"{_encode(fields).decode()}\n"


def letter(letter: Letter, judge: Judge) -> str:
    """A letter for people: what is wrong with it, and what it would be judged as today."""
    found = _time(datetime.fromtimestamp(letter.ts / 1000, UTC))
    return (
        f"id       {letter.id}\n"
        f"found    {found} UTC\n"
        f"origin   {letter.origin}\n"
        f"reason   {letter.reason}: {REASONS.get(letter.reason, 'unknown')}\n"
        f"today    {_today(letter, judge)}\n"
        f"line     {letter.line}\n"
    )


def outcome(outcome: Outcome) -> str:
    """What a replay did."""
    lines = [f"{outcome.put_back:,} put back", f"{outcome.before:,} had been put back before"]
    lines += [f"{count:,} can't be counted: {why}" for why, count in outcome.left.most_common()]
    return "".join(f"{line}\n" for line in lines)


def _today(letter: Letter, judge: Judge) -> str:
    if letter.put_back:
        return "it has been put back"
    try:
        hit = judge(letter)
    except Uncountable as reason:
        return f"it can't be counted: {_in_words(str(reason))}"
    unit = "/".join(filter(None, (hit.advertiser, hit.campaign, hit.creative, hit.placement)))
    return f"`dead replay` would count it: {hit.kind} of {unit}"


def _in_words(reason: str) -> str:
    return f"{reason}: {REASONS[reason]}" if reason in REASONS else reason


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")
