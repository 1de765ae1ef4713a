"""docs/settings.md lists every setting, with its default and help."""

import re
from pathlib import Path

from pixeltally.settings import table

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def test_every_setting_is_documented_in_order_with_its_default_and_help() -> None:
    rows = re.findall(r"^\| `(PIXELTALLY_\w+)` \| (\S+) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(name, f"`{default}`" if default else "unset", help) for name, default, help in table()]
