"""Settings: a wrong value stops with one helpful sentence."""

import stat

import pytest

from pixeltally.errors import Refused
from pixeltally.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIXELTALLY_INGEST_PORT", "70000"),
        ("PIXELTALLY_INGEST_PORT", "http"),
        ("PIXELTALLY_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("PIXELTALLY_VISITOR", "cookie"),
        ("PIXELTALLY_IPV6_PREFIX", "129"),
        ("PIXELTALLY_DUPLICATE_WINDOW_S", "-1"),
        ("PIXELTALLY_PARTITIONS", "0"),
        ("PIXELTALLY_SPOOL_MAX_BYTES", "1024"),
        ("PIXELTALLY_STREAMS_METRICS_PORT", "99999"),
        ("PIXELTALLY_MAX_DEAD_PERCENT", "101"),
        ("PIXELTALLY_HOST", "nonsense"),
        ("PIXELTALLY_CLICKHOUSE_URL", "clickhouse:8123"),
        ("PIXELTALLY_CLICKHOUSE_URL", "http://clickhouse:99999"),
        ("PIXELTALLY_PUBLIC_URL", "t.example"),
    ],
)
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(Refused) as refusal:
        Settings.from_env({name: value})
    said = str(refusal.value)
    assert said.startswith(f"{name}='{value}' can't be used: ")
    assert "literal" not in said  # Python's own words


def test_defaults_and_addresses():
    settings = Settings.from_env({})
    assert (settings.ingest_port, settings.live_port, settings.duplicate_window_s) == (8080, 8090, 60)
    assert settings.kafka_servers == "127.0.0.1:9092"
    assert settings.clickhouse == "http://127.0.0.1:8123"
    assert Settings.from_env({"PIXELTALLY_KAFKA": "k:1"}).kafka_servers == "k:1"


def test_the_secret_is_made_once_and_for_our_eyes_only(tmp_path):
    settings = Settings.from_env({"PIXELTALLY_DATA": str(tmp_path / "data")})
    first = settings.secret_key()
    assert len(first) == 64
    assert settings.secret_key() == first
    assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600
    assert Settings.from_env({"PIXELTALLY_SECRET": "mine"}).secret_key() == b"mine"
