"""Places: the default set, other makers' files, and what is said when a file can't be read."""

import ipaddress
import logging

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from streams import mmdb, sign
from streams.places import NOWHERE, Places

MAXMIND = (
    lambda country: {"country": {"iso_code": country, "geoname_id": 1}, "continent": {"code": "XX"}},
    lambda asn, isp: {"autonomous_system_number": asn, "autonomous_system_organization": isp},
)
IPINFO = (
    lambda country: {"country_code": country, "country": "in words"},
    lambda asn, isp: {"asn": f"AS{asn}", "as_name": isp, "as_domain": "x.example"},
)


def write(path, networks, ip_version=6):
    writer = MMDBWriter(ip_version, "Test", ipv4_compatible=ip_version == 6, int_type="uint32")
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    return str(path)


@pytest.fixture(scope="module")
def default():
    return Places()


def test_the_default_set_knows_addresses_of_both_versions(default):
    (telekom, google, unknown) = default.look_up(["91.0.0.1", "2a00:1450:4001:800::200e", "10.1.2.3"])
    assert (telekom.country, telekom.asn, telekom.isp) == ("DE", 3320, "Deutsche Telekom AG")
    assert telekom.json == b',"country":"DE","asn":3320,"isp":"Deutsche Telekom AG"'
    assert (google.asn, google.isp) == (15169, "Google LLC")
    assert (unknown.country, unknown.asn, unknown.isp, unknown.json) == ("", 0, "", b"")


def test_each_list_has_a_date(default):
    assert default.dates() == {"iporigin": "2026-10-05", "asn": "2026-09-16", "country": "2026-09-16"}


def test_a_column_has_an_answer_for_each_and_the_same_again(default):
    column = ["91.0.0.1", "", "2a00::1", "91.0.0.1", "nonsense", "1.2.3", "::ffff:1.2.3.4", "fe80::1%eth0", "256.1.1.1"]
    found = default.look_up(column)
    assert found == default.look_up(column) == [default.look_up([ip])[0] for ip in column]
    assert [place == NOWHERE for place in found] == [ip == "" for ip in column]
    assert [bool(place.signs & sign.BAD_ADDRESS) for place in found] == [
        ip in ("nonsense", "1.2.3", "fe80::1%eth0", "256.1.1.1") for ip in column
    ]


@pytest.mark.parametrize(("country", "asn"), [MAXMIND, IPINFO])
@pytest.mark.parametrize("ip_version", [4, 6])
def test_any_makers_files_are_read(tmp_path, country, asn, ip_version):
    countries = {"198.51.100.0/25": country("DE"), "198.51.100.128/25": country("AT")}
    systems = {"198.51.100.0/24": asn(64500, "Größe & Söhne"), "203.0.113.0/24": asn(64501, 'the "other"')}
    if ip_version == 6:
        countries["2001:db8::/32"] = country("CH")
        systems["2001:db8::/32"] = asn(64502, "six")
    mine = Places(write(tmp_path / "c", countries, ip_version), write(tmp_path / "a", systems, ip_version))
    found = [
        (place.country, place.asn, place.isp)
        for place in mine.look_up(["198.51.100.1", "198.51.100.200", "203.0.113.9", "2001:db8::1"])
    ]
    six = ("CH", 64502, "six") if ip_version == 6 else ("", 0, "")
    assert found == [("DE", 64500, "Größe & Söhne"), ("AT", 64500, "Größe & Söhne"), ("", 64501, 'the "other"'), six]
    assert mine.look_up(["203.0.113.9"])[0].json == b',"asn":64501,"isp":"the \\"other\\""'


@pytest.mark.parametrize("content", [None, b"", b"no MMDB", b"\xab\xcd\xefMaxMind.com" * 3])
def test_what_cannot_be_read_is_said_once_and_leaves_fields_empty(tmp_path, caplog, content):
    path = tmp_path / "broken.mmdb"
    if content is not None:
        path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        broken = Places(str(path), str(path))
        for _ in range(3):
            (place,) = broken.look_up(["91.0.0.1"])
    assert (place.country, place.asn, place.isp, place.json) == ("", 0, "", b"")
    assert [str(path) in record.getMessage() for record in caplog.records] == [True, True]  # one a file
    assert broken.dates()["country"] == broken.dates()["asn"] == ""


@pytest.mark.parametrize(("country", "asn"), [(IPINFO[1], IPINFO[0]), ("", "")])
def test_a_file_of_another_kind_is_said_once(tmp_path, caplog, country, asn):
    """One of systems where countries are asked of, and the other way round; and files without an entry."""
    countries = {"198.51.100.0/24": country(64500, "x")} if country else {}
    systems = {"198.51.100.0/24": asn("DE")} if asn else {}
    with caplog.at_level(logging.WARNING):
        mine = Places(write(tmp_path / "countries", countries), write(tmp_path / "systems", systems))
        (place,) = mine.look_up(["198.51.100.1"])
    assert (place.country, place.asn) == ("", 0)
    said = [record.getMessage() for record in caplog.records]
    assert [name in message for name, message in zip(("countries", "systems", "systems"), said, strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize("text", ["AS3320", "3320"])
def test_a_systems_number_may_be_a_text(tmp_path, text):
    path = write(tmp_path / "a", {"198.51.100.0/24": {"asn": text, "name": "x"}})
    assert Places(asn_mmdb=path).look_up(["198.51.100.1"])[0].asn == 3320


def test_a_file_that_breaks_off_in_the_middle_is_said_once(tmp_path, caplog):
    path = tmp_path / "cut.mmdb"
    write(path, {f"198.51.{n}.0/24": MAXMIND[0]("DE") for n in range(200)})
    whole = path.read_bytes()
    metadata = whole.rindex(b"\xab\xcd\xefMaxMind.com")
    path.write_bytes(whole[:200] + b"\xff" * 600 + whole[metadata:])
    with caplog.at_level(logging.WARNING):
        cut = Places(str(path))
        found = cut.look_up([f"198.51.{n}.1" for n in range(200)] * 2)
    assert {place.country for place in found} <= {"", "DE"}
    assert len(caplog.records) <= 1


def test_a_default_set_that_was_tampered_with_is_not_used(monkeypatch, caplog):
    monkeypatch.setitem(mmdb.INSTALLED, "origin-asn.mmdb", "0" * 64)
    assert Places().look_up(["91.0.0.1"])[0].asn == 0
    assert "origin-asn.mmdb" in caplog.text


NETWORKS = [
    ("91.0.0.1", ""),
    ("3.5.140.1", "datacenter"),  # AWS
    ("2600:1f18::1", "datacenter"),
    ("66.249.66.1", "crawler"),  # Googlebot
    ("8.8.8.8", "relay"),  # Google's own
    ("104.16.0.1", "relay"),  # Cloudflare: WARP
    ("172.224.226.1", "relay"),  # iCloud Private Relay
    ("165.225.0.1", "proxy"),  # Zscaler
    ("205.220.160.1", "scanner"),  # Proofpoint
    ("209.222.82.1", "scanner"),  # Barracuda, among AWS's
    ("209.222.88.0", ""),
]


@pytest.mark.parametrize(("ip", "network"), NETWORKS)
def test_networks(default, ip, network):
    assert default.look_up([ip])[0].network == network


#: IANA's special-purpose registries, and multicast.
SPECIAL = (
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
    " 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
    " ::/128 ::1/128 2001:2::/48 2001:10::/28 2001:db8::/32 3fff::/20 fc00::/7 fe80::/10 ff00::/8"
)


@pytest.mark.parametrize("text", SPECIAL.split())
def test_private_loopback_and_documentation_ranges_are_nobodys_data_centre(default, text):
    network = ipaddress.ip_network(text)
    some = {network[0], network[-1], network[network.num_addresses // 2]}
    assert {place.network for place in default.look_up(list(map(str, some)))} <= {"local", ""}


def test_internal_ranges_overrule_all_others():
    mine = Places(internal=[ipaddress.ip_network(text) for text in ("3.5.0.0/16", "192.0.2.7/32", "2001:db8::/32")])
    column = ["3.5.140.1", "192.0.2.7", "192.0.2.8", "2001:db8:1::1", "2001:db9::1"]
    assert [place.network for place in mine.look_up(column)] == ["internal", "internal", "local", "internal", ""]
