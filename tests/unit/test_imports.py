"""The folders are the architecture: tiers never import one another."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Which of our folders each may import, itself apart.
ALLOWED = {
    "pixeltally": set(),
    "ingest": {"pixeltally"},
    "streams": {"pixeltally"},
    "sinks": {"pixeltally"},
    "dashboards": {"pixeltally"},
    "ledger": {"pixeltally"},
    "audit": {"pixeltally"},
    "local": {"pixeltally"},
}


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_go_one_way(folder):
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top not in set(ALLOWED) - ALLOWED[folder] - {folder}, f"{file} imports {name}"
