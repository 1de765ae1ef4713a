"""Which tiers a stack runs, in which order they stop, and what settings they get."""

from pathlib import Path

import pytest

from local import stack
from pixeltally.settings import Settings

HANDS_ON_FIRST = ["ingest", "streams", "sink", "live"]


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({}, ["clickhouse", "broker"]),
        ({"PIXELTALLY_KAFKA": "kafka:9092"}, ["clickhouse"]),
        ({"PIXELTALLY_CLICKHOUSE_URL": "http://ch:8123"}, ["broker"]),
        ({"PIXELTALLY_KAFKA": "kafka:9092", "PIXELTALLY_CLICKHOUSE_URL": "http://ch:8123"}, []),
    ],
)
def test_only_parts_that_nobody_else_runs_are_started(environ: dict[str, str], parts: list[str]) -> None:
    table = stack.tiers(Settings.from_env(environ))
    assert [tier.name for tier in table] == [*HANDS_ON_FIRST, *parts]


def test_every_part_has_its_tier_in_its_command_line() -> None:
    for tier in stack.tiers(Settings.from_env({})):
        assert f"pixeltally {tier.name}" in " ".join(tier.argv)


def test_a_part_gets_the_settings_of_its_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIXELTALLY_LIVE_PORT", "1")
    settings = Settings.from_env({"PIXELTALLY_DATA": str(tmp_path), "PIXELTALLY_TRUSTED_PROXIES": "10.0.0.0/8,::1/128"})
    assert Settings.from_env(stack._environ(settings)) == settings


def test_a_line_of_a_log_names_its_part(capsys: pytest.CaptureFixture[str]) -> None:
    stack._log("sink", "WARNING slow")
    assert capsys.readouterr() == ("", "sink       | WARNING slow\n")
