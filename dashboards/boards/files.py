"""The files that Grafana reads when it starts: boards and alert rules, made from their definitions."""

import json
from pathlib import Path

from dashboards.boards import BOARDS, alerts
from dashboards.boards.render import dashboard

ROOT = Path(__file__).parents[1] / "grafana"


def files() -> dict[str, str]:
    """Path under `dashboards/grafana` → text."""
    made = {f"boards/{board.uid}.json": _text(dashboard(board)) for board in BOARDS}
    return made | {"provisioning/alerting/pixeltally.json": _text(alerts.file(alerts.ALERTS))}


def write(root: Path = ROOT) -> None:
    """Bring the files up to date; those of boards that are no more are deleted."""
    for old in (root / "boards").glob("*.json"):
        old.unlink()
    for name, text in files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _text(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
