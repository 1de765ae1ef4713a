"""docs/operations.md says of every alert rule what to do."""

import re
from pathlib import Path

from dashboards.boards.alerts import ALERTS

DOCS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def test_every_alert_has_a_runbook() -> None:
    section = DOCS.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    runbooks = dict(re.findall(r"^### (.+)\n\n((?:(?!^### ).*\n)+)", section, re.MULTILINE))
    assert [*runbooks] == [alert.title for alert in ALERTS]
    assert all(len(text.split()) > 20 for text in runbooks.values())
