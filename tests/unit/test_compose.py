"""docker-compose.yml against the compose schema and against the code: there is no engine here to run it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from dashboards.boards import BOARDS, render
from pixeltally import settings, topics
from pixeltally.cli import main
from pixeltally.database import DATABASE
from pixeltally.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
TEXT = COMPOSE.read_text()
FILE: dict[str, Any] = YAML(typ="safe").load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
TIERS = {name: service for name, service in SERVICES.items() if "build" in service}
SETTINGS = {name: default for name, default, _ in settings.table()}

#: Settings that the compose file gives itself, or that only parts started by `up` or commands run by hand have.
FIXED_INSIDE = {
    "PIXELTALLY_DATA",
    "PIXELTALLY_HOST",
    "PIXELTALLY_KAFKA",
    "PIXELTALLY_KAFKA_PORT",
    "PIXELTALLY_CLICKHOUSE_URL",
    "PIXELTALLY_GRAFANA_URL",
    "PIXELTALLY_GRAFANA_USER",
    "PIXELTALLY_GRAFANA_PASSWORD",
}


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_schema_accepts_it() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_named_is_one_of_ours() -> None:
    named = set(re.findall(r"PIXELTALLY_[A-Z0-9_]+", TEXT)) | {
        name for name in example() if name.startswith("PIXELTALLY_")
    }
    assert named <= SETTINGS.keys()


def test_every_setting_that_matters_can_be_set() -> None:
    assert SETTINGS.keys() - FIXED_INSIDE <= example().keys()


def test_the_example_holds_every_variable_used_and_no_other() -> None:
    assert set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT)) == example().keys()


def test_secrets_are_required_and_have_no_default() -> None:
    passwords = ("CLICKHOUSE_PASSWORD", "CLICKHOUSE_READER_PASSWORD", "GRAFANA_PASSWORD")
    for name in ("PIXELTALLY_SECRET", "PIXELTALLY_LIVE_TOKEN", *passwords):
        assert set(re.findall(rf"\${{{name}([:?-]*)", TEXT)) == {":?"}
        assert example()[name] == ""


@pytest.mark.parametrize("name", TIERS)
def test_a_tier_runs_its_command(name: str) -> None:
    tier = TIERS[name]
    assert tier["command"] == name
    assert name in main.list_commands(click.Context(main))
    assert tier["image"].startswith("pixeltally:")
    Settings.from_env({key: value for key, value in tier["environment"].items() if "${" not in value})


def test_all_tiers_are_there() -> None:
    assert TIERS.keys() == {"ingest", "streams", "sink", "live"}


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images.append(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[0])
    for image in images:
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)+(-[a-z-]+)?", image), image


def test_every_service_has_a_health_check_and_is_started_again() -> None:
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_ports_are_the_defaults_and_this_machines_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    for variable, service in (("INGEST_PORT", "ingest"), ("LIVE_PORT", "live"), ("CLICKHOUSE_PORT", "clickhouse")):
        port = SETTINGS[f"PIXELTALLY_{variable}"]
        assert SERVICES[service]["ports"] == [f"127.0.0.1:${{PIXELTALLY_{variable}:-{port}}}:{port}"]
        assert example()[f"PIXELTALLY_{variable}"] == port
        assert any(f":{port}/" in word for word in SERVICES[service]["healthcheck"]["test"])


def test_kafka_and_clickhouse_are_where_the_tiers_look() -> None:
    kafka = SERVICES["kafka"]["environment"]
    for tier in TIERS.values():
        assert f"BROKER://{tier['environment']['PIXELTALLY_KAFKA']}" == kafka["KAFKA_ADVERTISED_LISTENERS"]
    user = SERVICES["clickhouse"]["environment"]["CLICKHOUSE_USER"]
    for name, who in (("sink", user), ("live", "reader")):
        assert re.fullmatch(
            rf"http://{who}:\${{[^}}]+}}@clickhouse:8123", TIERS[name]["environment"]["PIXELTALLY_CLICKHOUSE_URL"]
        )


def test_kafka_takes_the_largest_message() -> None:
    kafka = SERVICES["kafka"]["environment"]
    assert int(kafka["KAFKA_MESSAGE_MAX_BYTES"]) == topics.MAX_MESSAGE_BYTES
    assert int(kafka["KAFKA_REPLICA_FETCH_MAX_BYTES"]) == topics.MAX_MESSAGE_BYTES


def test_health_checks_ask_for_the_real_groups() -> None:
    assert TIERS["streams"]["healthcheck"]["test"][-1] == topics.STREAMS_GROUP
    assert TIERS["sink"]["healthcheck"]["test"][-1] == topics.SINK_GROUP


def test_what_is_waited_for_exists_and_what_is_kept_has_a_volume() -> None:
    for service in SERVICES.values():
        for other in service.get("depends_on", {}):
            assert "healthcheck" in SERVICES[other]
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert {mount for mount in mounted if not mount.startswith("./")} == FILE["volumes"].keys()
    for mount in mounted:
        assert not mount.startswith("./") or (ROOT / mount).exists()


def test_grafanas_data_source_is_our_database() -> None:
    file = ROOT / "dashboards/grafana/provisioning/datasources/clickhouse.yml"
    (source,) = YAML(typ="safe").load(file)["datasources"]
    plugin = SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"]
    assert re.fullmatch(rf"{source['type']}@\d+\.\d+\.\d+", plugin)
    assert source["jsonData"]["defaultDatabase"] == DATABASE
    password = re.fullmatch(r"\$__env{(\w+)}", source["secureJsonData"]["password"])
    assert password is not None
    assert password[1] in SERVICES["grafana"]["environment"]


def test_grafana_finds_the_boards_and_rules() -> None:
    grafana = SERVICES["grafana"]
    assert grafana["environment"]["GF_PLUGINS_PREINSTALL"] == f"{render.PLUGIN}@{render.PLUGIN_VERSION}"
    mounts = {place.split(":")[1]: ROOT / place.split(":")[0] for place in grafana["volumes"] if place.startswith("./")}
    provisioning = mounts["/etc/grafana/provisioning"]
    (provider,) = YAML(typ="safe").load(provisioning / "dashboards/pixeltally.yml")["providers"]
    assert len(list(mounts[provider["options"]["path"]].glob("*.json"))) == len(BOARDS)
    assert (provider["folder"], provider["folderUid"]) == (render.FOLDER, render.FOLDER_UID)
    (group,) = YAML(typ="safe").load(provisioning / "alerting/pixeltally.json")["groups"]
    assert group["folder"] == provider["folder"]
    port = grafana["ports"][0].rsplit(":", 1)[1]
    assert TIERS["live"]["environment"]["PIXELTALLY_GRAFANA_URL"] == f"http://grafana:{port}"


def test_the_image_is_built_from_every_package() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    packages = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    for package in re.findall(r'"(\w+)[".]', packages[1]):
        assert f"!{package}" in ignored
