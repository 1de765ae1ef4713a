"""docs/dead-letters.md names every reason there is, and every reason is asserted by a test."""

import re
from pathlib import Path

from pixeltally.reasons import REASONS

ROOT = Path(__file__).parents[2]
DOCUMENTED = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "dead-letters.md").read_text(), re.MULTILINE))


def sources(*folders: str) -> str:
    return "\n".join(path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


def test_what_the_code_gives_as_a_reason_is_documented() -> None:
    code = sources("ingest", "streams", "sinks")
    given = set(re.findall(r'(?:Uncountable|reason|_stop|_refuse)\((?:[A-Z]\w+\.\w+, )?"([a-z-]+)"\)', code))
    assert {"bad-name", "bad-request", "request-too-long", "unreadable-line"} <= given
    assert given <= DOCUMENTED


def test_every_documented_reason_has_words() -> None:
    assert set(REASONS) == DOCUMENTED


def test_every_documented_reason_is_asserted_by_a_test() -> None:
    tests = sources("tests")
    for reason in DOCUMENTED:
        assert re.search(rf'"\^?{reason}\$?"', tests), reason
