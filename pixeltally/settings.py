"""Every setting: its name, default, unit and help in one frozen table, read from the environment.

A field `foo_bar` is set by `PIXELTALLY_FOO_BAR`. `docs/settings.md` lists them all (held by a test).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixeltally.errors import Refused
from pixeltally.hit import NAME_PATTERN
from pixeltally.keys import Keys, parse

Network = IPv4Network | IPv6Network


def _number(low: int, high: int | None = None) -> Callable[[str], int]:
    span = f"from {low} to {high}" if high is not None else f"of at least {low}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]+", text, re.ASCII) or not low <= int(text) <= (high or int(text)):
            raise ValueError(f"must be a whole number {span}")
        return int(text)

    return parse


_port, _positive, _natural = _number(1, 65535), _number(1), _number(0)


def _host(text: str) -> str:
    if text != "localhost":
        ip_address(text)
    return text


def _url(text: str) -> str:
    if text:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("must be an address such as http://host:8123")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if re.fullmatch(NAME_PATTERN, name, re.ASCII) is None:
            raise ValueError(f"{name!r} is no name (a-z 0-9 . _ -)")
    return names


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError("one of " + ", ".join(allowed))
        return text

    return parse


def _token(text: str) -> str:
    if text and len(text) < 16:
        raise ValueError("must have at least 16 letters")
    return text


def _keys(text: str) -> str:
    parse(text)
    return text


def _setting(default: str, help: str, parse: Callable[[str], Any] = str, secret: bool = False) -> Any:
    return field(metadata={"default": default, "help": help, "parse": parse, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """All settings of a process. Build it with :meth:`from_env`."""

    data: Path = _setting("./data", "folder that everything kept on this machine lies under", Path)
    host: str = _setting("127.0.0.1", "address that every listener binds", _host)
    ingest_port: int = _setting("8080", "port of the pixel, click and conversion URLs", _port)
    ingest_workers: int = _setting("1", "processes that answer requests", _positive)
    spool_max_bytes: int = _setting(
        "17179869184", "bytes that the spool may grow to while Kafka is away (16 GiB)", _number(1 << 20)
    )
    spool_min_free_bytes: int = _setting(
        "268435456", "bytes of its disk that the spool leaves free (256 MiB)", _natural
    )
    spool_fsync_ms: int = _setting(
        "0",
        "a line is on the disk itself, safe from a power cut, after at most so many ms; 0: when the system does it",
        _natural,
    )
    archive: str = _setting(
        "", "folder that keeps all requests, and the order in which they were counted, for statements; unset: none"
    )
    public_url: str = _setting("", "address that the world reaches ingest at, for tags; unset: host and port", _url)
    live_port: int = _setting("8090", "port of the live page", _port)
    live_url: str = _setting("", "address that people reach the live page at, for links; unset: host and port", _url)
    live_token: str = _setting(
        "",
        "lets into the live page, 16 letters or more; unset: none is needed on a loopback address, elsewhere one is"
        " made in the data folder (mode 600)",
        _token,
        secret=True,
    )
    kafka: str = _setting("", "Kafka's bootstrap servers; unset: `up` starts one")
    kafka_port: int = _setting("9092", "port of the Kafka that `up` starts", _port)
    streams_metrics_port: int = _setting(
        "0", "port of a streams worker's Prometheus metrics; 0: none", _number(0, 65535)
    )
    sink_metrics_port: int = _setting("0", "port of the sink's Prometheus metrics; 0: none", _number(0, 65535))
    max_dead_percent: int = _setting(
        "50", "streams stop where more than so many of 10,000 lines are no hits; 100: never", _number(0, 100)
    )
    partitions: int = _setting("4", "partitions of a topic when it is created", _positive)
    clickhouse_url: str = _setting("", "ClickHouse's HTTP address; unset: `up` starts the embedded engine", _url)
    clickhouse_port: int = _setting("8123", "port of the ClickHouse that `up` starts", _port)
    grafana_url: str = _setting("http://127.0.0.1:3000", "Grafana's address, for `pixeltally grafana`", _url)
    grafana_user: str = _setting("admin", "Grafana's administrator")
    grafana_password: str = _setting("", "the administrator's password", secret=True)
    secret: str = _setting(
        "",
        "signs click links and tokens, hides visitors: a text, or id:secret,id:secret oldest first;"
        " unset: made in the data folder (mode 600)",
        _keys,
        secret=True,
    )
    key_grace_days: int = _setting("400", "days that what a retired key signed stays valid", _natural)
    trusted_proxies: tuple[Network, ...] = _setting(
        "", "CIDRs, comma-separated, whose X-Forwarded-For or Forwarded is believed", _networks
    )
    advertisers: tuple[str, ...] = _setting("", "advertisers, comma-separated, that are counted; unset: all", _names)
    max_units: int = _setting(
        "50000", "ad units that a partition counts at a time; hits of others are invalid", _positive
    )
    duplicate_window_s: int = _setting(
        "60", "seconds within which a second request of a pixel's visitor is a duplicate", _natural
    )
    attribution_window_s: int = _setting("1800", "seconds that a click may follow its impression by", _natural)
    lateness_s: int = _setting("60", "seconds a minute stays open behind the newest hit", _natural)
    visitor: str = _setting("ip", "what a visitor is where no subscriber is named: ip or ip+ua", _choice("ip", "ip+ua"))
    ipv6_prefix: int = _setting("128", "bits of an IPv6 address that tell visitors apart", _number(1, 128))
    store_ip: str = _setting(
        "full",
        "what is kept of addresses: full, truncated (IPv4 /24, IPv6 /48) or none, which keeps no subscriber either",
        _choice("full", "truncated", "none"),
    )
    gpc: str = _setting(
        "ignore",
        "requests with Sec-GPC: 1 or DNT: 1: ignore the header, or count them as anonymous",
        _choice("ignore", "anonymous"),
    )
    geo_country_mmdb: str = _setting("", "MMDB file that says the country of an address; unset: the one installed")
    geo_asn_mmdb: str = _setting("", "MMDB file that says an address's network and ISP; unset: the one installed")
    internal: tuple[Network, ...] = _setting(
        "", "CIDRs, comma-separated, of your own tests: their hits have the verdict internal", _networks
    )
    retention_days: int = _setting("400", "days that facts are kept; 0 keeps them for ever", _natural)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read all settings; raise :class:`Refused` with one sentence on the first wrong value."""
        values = {}
        for each in fields(cls):
            name = variable(each.name)
            text = environ.get(name) or each.metadata["default"]
            try:
                values[each.name] = each.metadata["parse"](text)
            except ValueError as wrong:
                shown = "…" if each.metadata["secret"] else repr(text)
                raise Refused(f"{name}={shown} can't be used: {wrong}.") from None
        return cls(**values)

    @property
    def reachable_host(self) -> str:
        """Where this machine reaches its own listeners."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104

    @property
    def kafka_servers(self) -> str:
        """Kafka's bootstrap servers, `host:port[,host:port…]`."""
        return self.kafka or f"{self.reachable_host}:{self.kafka_port}"

    @property
    def clickhouse(self) -> str:
        """ClickHouse's HTTP address."""
        return self.clickhouse_url or f"http://{self.reachable_host}:{self.clickhouse_port}"

    @property
    def public(self) -> str:
        """The address that tags point to."""
        return self.public_url.rstrip("/") or f"http://{self.reachable_host}:{self.ingest_port}"

    @property
    def live(self) -> str:
        """The address of the live page."""
        return self.live_url.rstrip("/") or f"http://{self.reachable_host}:{self.live_port}"

    @property
    def images(self) -> Path:
        """Folder of the images that are trackers: `advertiser/campaign/creative[/placement].ext`."""
        return self.data / "images"

    @property
    def spool(self) -> Path:
        """Folder of the spool: one folder of segments per node in it."""
        return self.data / "spool"

    def text(self, name: str) -> str:
        """A setting as the environment would give it."""
        value = getattr(self, name)
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def keys(self) -> Keys:
        """The keys that sign click links and tokens."""
        return Keys(parse(self.secret), self.data, self.key_grace_days)

    def secret_key(self) -> bytes:
        """The first key, which hides visitors; made in the data folder where none is given."""
        return self.keys().first().secret


def variable(name: str) -> str:
    """The environment variable of the setting `name`."""
    return f"PIXELTALLY_{name.upper()}"


def table() -> list[tuple[str, str, str]]:
    """(environment variable, default, help) of every setting, in order."""
    return [(variable(each.name), each.metadata["default"], each.metadata["help"]) for each in fields(Settings)]
