"""A dead letter that names somebody is told from one that only looks alike, however the name is written."""

import json
from ipaddress import ip_address
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.mentions import of_address, of_subscriber


@pytest.mark.parametrize(
    ("address", "line", "named"),
    [
        ("1.2.3.4", '{"peer":"1.2.3.4"}', True),
        ("1.2.3.4", '{"peer":"11.2.3.4"}', False),
        ("1.2.3.4", '{"peer":"1.2.3.45"}', False),
        ("1.2.3.4", '{"peer":"1.2.3.4.5"}', False),
        ("1.2.3.4", '{"forwarded_for":"9.9.9.9, 1.2.3.4:5678"}', True),
        ("1.2.3.4", '{"peer":"::ffff:1.2.3.4"}', True),
        ("1.2.3.4", "torn…1.2.3.4…", True),
        ("2001:db8::7", '{"forwarded":"for=\\"[2001:DB8:0:0::7]:443\\""}', True),
        ("2001:db8::7", '{"uri":"/p/x?a=2001%3Adb8%3A%3A7"}', True),
        ("2001:db8::7", '{"peer":"2001:db8::77"}', False),
        ("2001:db8::7", '{"time":1700000000.5,"seq":2001}', False),
    ],
)
def test_an_address_in_a_line(address, line, named):
    assert of_address(ip_address(address))(line) is named


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"uri":"/p/a/b.gif?s=17"}', True),
        ('{"uri":"/p/a/b.gif?x=1&s=17&y=2"}', True),
        ('{"uri":"/p/a/b.gif?%73=17"}', True),
        ('{"uri":"/p/a/b.gif?s=171"}', False),
        ('{"uri":"/p/a/b.gif?s=1"}', False),
        ('{"uri":"/p/a/b.gif?ids=17&cb=17","seq":17}', False),
        ('{"subscriber":"17","visitor":3}', True),
        ('{"subscriber":"170"}', False),
        ("torn /p/a/b.gif?s=17", True),
    ],
)
def test_a_subscriber_in_a_line(line, named):
    assert of_subscriber("17")(line) is named


@given(st.text(min_size=1, max_size=40), st.sampled_from([quote, quote_plus, lambda text: quote(text, safe="")]))
def test_any_subscriber_is_found_as_urls_and_json_write_it(name, encode):
    try:
        encoded = encode(name)
    except UnicodeEncodeError:
        return
    mentions = of_subscriber(name)
    assert mentions(json.dumps({"uri": f"/p/a/b/c.gif?x=1&s={encoded}&y=2"}))
    assert mentions(json.dumps({"subscriber": name}, ensure_ascii=False))
    assert not mentions(json.dumps({"uri": f"/p/a/b/c.gif?x=1&s=other{encoded}&y=2"}))
