"""Click targets: signed, http(s) only, and otherwise left to the letter."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.target import is_allowed, with_click
from pixeltally.keys import Key, key_of
from pixeltally.signing import is_signed, sign


@given(st.binary(min_size=1), st.text(), st.text(), st.text())
def test_only_the_signed_target_passes(secret, unit, target, other):
    key = key_of(secret)
    signature = sign(key, unit, target)
    assert is_signed([key], unit, target, signature)
    assert is_signed([key], unit, other, signature) == (other == target)
    assert not is_signed([Key(key.id, secret + b"x")], unit, target, signature)
    assert not is_signed([], unit, target, signature)
    assert not is_signed([key], unit, target, "")
    assert not is_signed([key], unit, target, signature + "é")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example", "https://x.example?pt_click=ID"),
        ("https://x.example/a?b=1#top", "https://x.example/a?b=1&pt_click=ID#top"),
        ("https://x.example/?sig=a%2Fb+c", "https://x.example/?sig=a%2Fb+c&pt_click=ID"),
        ("https://x.example/é?q=ü", "https://x.example/%C3%A9?q=%C3%BC&pt_click=ID"),
    ],
)
def test_the_click_id_joins_whatever_the_url_holds(url, expected):
    assert with_click(url, "ID") == expected


@given(st.text(), st.text())
def test_a_redirect_can_never_carry_a_header(path, query):
    url = f"https://x.example/{path}?{query}"
    if is_allowed(url):
        location = with_click(url, "ID")
        assert location.isascii()
        assert location.isprintable()
        assert urlsplit(location).hostname == "x.example"
        assert parse_qs(urlsplit(location).query)["pt_click"] == ["ID"] or "#" in path or "pt_click" in query


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "//x.example",
        "/relative",
        "ftp://x",
        "https://",
        "https://x\r\ny",
        "https://x y",
        "http://[::1",
    ],
)
def test_other_targets_are_refused(url):
    assert not is_allowed(url)
