"""docs/import.md names every field of JSON logs that is read, in order."""

import re
from pathlib import Path

from ingest.json_log import FIELDS

DOCS = (Path(__file__).parents[2] / "docs" / "import.md").read_text()


def test_every_field_is_documented_in_its_order():
    rows = [re.findall(r"`([^`]+)`", row) for row in re.findall(r"^\| [^|`]+ \| (`.*) \|$", DOCS, re.MULTILINE)]
    assert [[">".join(name) for name in names] for names in FIELDS.values()] == rows[-len(FIELDS) :]
