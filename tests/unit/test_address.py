"""The client's address can't be forged from outside and is read however proxies write it."""

from ipaddress import ip_address, ip_network

import pytest

from ingest.address import Addresses, parse
from pixeltally.identity import masked

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("::1/128"))


def client(peer, forwarded_for="", forwarded=""):
    return str(Addresses(TRUSTED).client(peer, forwarded, forwarded_for))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        ("8.8.8.8", "1.2.3.4", "8.8.8.8"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "1.2.3.4, unknown", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4, nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:1.2.3.4", "1.2.3.4"),
        ("10.0.0.1:5555", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "1.2.3.4:8080", "1.2.3.4"),
    ],
)
def test_x_forwarded_for(peer, forwarded_for, expected):
    assert client(peer, forwarded_for) == expected


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("for=1.2.3.4", "1.2.3.4"),
        ('For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        ("for=6.6.6.6, for=1.2.3.4;by=10.0.0.9, for=10.0.0.2", "1.2.3.4"),
        ("for=1.2.3.4, for=_hidden", "10.0.0.1"),
        ("proto=http;for=1.2.3.4", "1.2.3.4"),
    ],
)
def test_forwarded_of_rfc_7239_goes_before_x_forwarded_for(forwarded, expected):
    assert client("10.0.0.1", "7.7.7.7", forwarded) == expected


def test_nonsense_is_no_address():
    assert parse("not an address") is None
    assert parse("") is None
    assert parse("fe80::1%eth0") == ip_address("fe80::1")


def test_a_prefix_joins_ipv6_addresses():
    assert masked(ip_address("2001:db8::1:2"), 64) == masked(ip_address("2001:db8::ffff"), 64)
    assert masked(ip_address("1.2.3.4"), 64) == ip_address("1.2.3.4")
