"""All that can be checked of a statement, in order."""

from dataclasses import dataclass, field
from pathlib import Path

from audit import arithmetic, document, recount
from pixeltally.errors import Refused


@dataclass
class Verified:
    """What was found."""

    checked: list[str] = field(default_factory=list)  #: what holds
    problems: list[str] = field(default_factory=list)


def verified(file: Path, segments: Path | None, key: str) -> Verified:
    """Check. Raises :class:`Refused` where there is nothing to check."""
    if segments is not None and not segments.is_dir():
        raise Refused(f"--segments {segments} is no folder: name a copy of the archive.")
    said = document.read(file, _key(key))
    found = Verified(problems=[*said.problems])
    if not said.problems:
        known = "as you named it" if key else "compare it with what the issuer publishes: --key"
        found.checked.append(f"signed by {said.key} ({known})")
    if not said.content:
        return found
    wrong = [*arithmetic.problems(said.content)]
    found.problems += wrong
    if not wrong:
        found.checked.append("it adds up")
        if segments is not None:
            _recount(said.content, segments, found)
    if said.content.get("preliminary"):
        found.checked.append("note: it was made before its days were over, so counts may have grown since")
    return found


def _recount(content: recount.Counts, segments: Path, found: Verified) -> None:
    wrong = [*recount.problems(content, segments)]
    found.problems += wrong
    if wrong:
        return
    archive = content["archive"]
    lines = sum(log["lines"] for log in archive["logs"] if log["log"].startswith(recount.REQUESTS))
    found.checked.append(
        f"counted again from {lines:,} lines of the raw log, whose chain is whole: every number is the same"
    )
    if archive["unarchived"]:
        found.checked.append(f"note: {archive['unarchived']:,} hits of it stand in no archived segment")


def _key(said: str) -> str:
    """The key itself, or what the file of that name holds."""
    path = Path(said)
    return path.read_text("ascii", "replace").strip() if said and path.is_file() else said
