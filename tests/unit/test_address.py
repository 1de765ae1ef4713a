"""The client's address can't be forged from outside and is read however proxies write it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import asking
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
        (' , for = "1.2.3.4" ; host="a;for=6.6.6.6, for=6.6.6.6" ,', "1.2.3.4"),
        ("for=6.6.6.6, proto=https", "10.0.0.1"),
        ('for=6.6.6.6;host="x, for=1.2.3.4', "10.0.0.1"),
        ("for=6.6.6.6 for=6.6.6.7", "10.0.0.1"),
        ("6.6.6.6", "10.0.0.1"),
    ],
)
def test_forwarded_of_rfc_7239(forwarded, expected):
    assert client("10.0.0.1", "", forwarded) == expected


def test_x_forwarded_for_goes_before_a_forwarded_that_the_client_may_have_made_up():
    assert client("10.0.0.1", "1.2.3.4", "for=6.6.6.6") == "1.2.3.4"


HEADER = st.lists(
    st.sampled_from(
        ["for", "=", ",", ";", '"', "\\", " ", "1.2.3.4", "[::1]:5", "by", "10.0.0.2", "_x", "For=9.9.9.9,"]
    )
)


@settings(max_examples=2000)
@given(HEADER.map("".join), st.sampled_from(["", "", "1.2.3.4", "6.6.6.6, 10.0.0.2", "junk"]))
def test_the_audit_reads_any_headers_the_same(forwarded, forwarded_for):
    said = {"peer": "10.0.0.1", "forwarded": forwarded, "forwarded_for": forwarded_for}
    assert client("10.0.0.1", forwarded_for, forwarded) == str(asking._client(said, TRUSTED))


def test_nonsense_is_no_address():
    assert parse("not an address") is None
    assert parse("") is None
    assert parse("fe80::1%eth0") == ip_address("fe80::1")


def test_a_prefix_joins_ipv6_addresses():
    assert masked(ip_address("2001:db8::1:2"), 64) == masked(ip_address("2001:db8::ffff"), 64)
    assert masked(ip_address("1.2.3.4"), 64) == ip_address("1.2.3.4")
