"""Click targets: signed, http(s) only, and otherwise left to the letter."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltally.keys import Key, key_of
from pixeltally.signing import is_signed, sign
from pixeltally.target import is_allowed, with_click


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
        ("https://x.example/?", "https://x.example/?pt_click=ID"),
        ("https://x.example/#", "https://x.example/?pt_click=ID#"),
        ("https://x.example/#/route?a=1", "https://x.example/?pt_click=ID#/route?a=1"),
        ("https://x.example/?pt_click=old", "https://x.example/?pt_click=ID"),
        ("https://x.example/?a=1&pt%5Fclick=old&b=%20&&c", "https://x.example/?a=1&b=%20&&c&pt_click=ID"),
        ("https://x.example/?a=1&pt_click=1&pt_click=2#t", "https://x.example/?a=1&pt_click=ID#t"),
        ("https://x.example/?xpt_click=1", "https://x.example/?xpt_click=1&pt_click=ID"),
        (
            "https://x.example/?a=1&Signature=p%2Bq%3D&Expires=9",
            "https://x.example/?a=1&Signature=p%2Bq%3D&Expires=9&pt_click=ID",
        ),
        ("https://x.example/?q=a|b'%zz", "https://x.example/?q=a%7Cb'%zz&pt_click=ID"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4?pt_click=ID"),
        ("https://me:ü@faß.example:8443/", "https://me:%C3%BC@xn--fa-hia.example:8443/?pt_click=ID"),
        ("https://例え。テスト/", "https://xn--r8jz45g.xn--zckzah/?pt_click=ID"),
        ("https://[2001:db8::1]/é", "https://[2001:db8::1]/%C3%A9?pt_click=ID"),
        ("HTTPS://X.example/?A=b", "HTTPS://X.example/?A=b&pt_click=ID"),
        ("https://x.example/é?q=ü", "https://x.example/%C3%A9?q=%C3%BC&pt_click=ID"),
    ],
)
def test_the_click_id_joins_whatever_the_url_holds(url, expected):
    assert with_click(url, "ID") == expected


def test_without_an_id_the_url_is_only_encoded():
    assert with_click("https://ü.example/?pt_click=old&a=é", "") == "https://xn--tda.example/?a=%C3%A9"


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
        "https://x.example:99999/",
        "https://x.example:port/",
        "https://good.example\\@evil.example/",
        "https://ü..example/",
        "https://a\u2488com/",
    ],
)
def test_other_targets_are_refused(url):
    assert not is_allowed(url)
